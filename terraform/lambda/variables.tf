variable "access_tokens" {
  description = "Tokens that clients show the relay; any one of them admits. Each is plain (32 characters or more) or \"sha256:\" and 64 hexadecimal digits. If empty, one of 256 random bits is made, which the output access_token gives. The function gets hashes only."
  type        = list(string)
  default     = []
  nullable    = false
  sensitive   = true
}

variable "alarm_email" {
  description = "Address that is mailed on errors, throttling, 5xx answers and requests near the time limit, and about the budget. AWS sends a mail per region that must be confirmed. If null, there are no alarms."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_email == null || can(regex("^[^@ ]+@[^@ ]+$", var.alarm_email))
    error_message = "alarm_email must be one mail address, such as ops@example.com, or null for no alarms."
  }
}

variable "alarm_topic_arn" {
  description = "SNS topic of your own for the alarms in place of a mail, in which {region} stands for the region: arn:aws:sns:{region}:123456789012:ops. With a domain, one in us-east-1 is needed, too, where Route 53 tells of regions that are out."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_topic_arn == null || can(regex("^arn:[a-z-]+:sns:\\{region\\}:[0-9]{12}:[A-Za-z0-9_-]+$", var.alarm_topic_arn))
    error_message = "alarm_topic_arn must be a topic's ARN with {region} in place of its region, such as arn:aws:sns:{region}:123456789012:ops."
  }
  validation {
    condition     = var.alarm_topic_arn == null || var.alarm_email == null
    error_message = "Set alarm_email or alarm_topic_arn, not both: subscribe the address to the topic instead."
  }
}

variable "allow_any_region" {
  description = "Takes regions that this module refuses: those without function URLs and those that OpenAI refuses; and does not warn of those it has not heard of."
  type        = bool
  default     = false
  nullable    = false
}

variable "allowed_origins" {
  description = "Web origins that browsers may call from, such as https://chat.example; [\"*\"] for every one, [\"none\"] for none."
  type        = list(string)
  default     = ["*"]
  nullable    = false
}

variable "api_key" {
  description = "OpenAI key that the relay puts in place of the clients'. It stands in the state and in the function's environment; api_key_secret keeps it out of both. If both are null, clients send their own key."
  type        = string
  default     = null
  sensitive   = true
}

variable "api_key_secret" {
  description = "Name of a secret in AWS Secrets Manager whose value is the OpenAI key. It must exist in every region (replicate it). The function reads it by AWS's Parameters and Secrets extension and refuses to serve when it cannot."
  type        = string
  default     = null

  validation {
    condition     = var.api_key_secret == null || can(regex("^[A-Za-z0-9/_+=.@-]{1,512}$", var.api_key_secret))
    error_message = "api_key_secret must be the secret's name, such as relay/openai, and no ARN: an ARN holds for one region only."
  }
  validation {
    condition     = var.api_key_secret == null || nonsensitive(var.api_key == null)
    error_message = "Set api_key or api_key_secret, not both: the relay would not know which key to show OpenAI."
  }
}

variable "architecture" {
  description = "Processor that the zip is for: \"arm64\" (lambda-arm64.zip, the cheaper one) or \"x86_64\" (lambda-amd64.zip)."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be \"arm64\" or \"x86_64\", which is AWS's name of amd64."
  }
}

variable "domain" {
  description = "Domain of your own in front: name; via, \"api_gateway\" (every region, latency routing with health checks) or \"cloudfront\" (one region); zone_id, the Route 53 hosted zone that holds it (if null, the output dns_records says what to set elsewhere); certificate_arns, by region, certificates of ACM to use in place of new ones (needed without zone_id; CloudFront's is in us-east-1); deep_health, whether health checks ask OpenAI, too. If null, the regions' own URLs are all there is."
  type = object({
    certificate_arns = optional(map(string))
    deep_health      = optional(bool, false)
    name             = string
    via              = optional(string, "api_gateway")
    zone_id          = optional(string)
  })
  default = null

  validation {
    condition     = var.domain == null || contains(["api_gateway", "cloudfront"], try(var.domain.via, ""))
    error_message = "domain.via must be \"api_gateway\" (failover between regions) or \"cloudfront\" (one region)."
  }
  validation {
    condition     = var.domain == null || can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+([a-z]{2,}|xn--[a-z0-9-]*[a-z0-9])$", var.domain.name))
    error_message = "domain.name must be a host name in lower case, such as relay.example.com, without https:// and without a path."
  }
  validation {
    condition     = try(var.domain.via, "") != "cloudfront" || length(var.regions) == 1
    error_message = "domain.via = \"cloudfront\" works with one region: CloudFront's origin groups repeat GET only, so a second region would never get a chat. Use \"api_gateway\" for several."
  }
  validation {
    condition     = try(var.domain.via, "") != "cloudfront" || var.function_url
    error_message = "domain.via = \"cloudfront\" leads to the function URL: leave function_url true, or use \"api_gateway\"."
  }
  validation {
    condition = var.domain == null || try(var.domain.zone_id, null) != null || length(setsubtract(
      try(var.domain.via, "") == "cloudfront" ? ["us-east-1"] : var.regions, keys(try(coalesce(var.domain.certificate_arns, {}), {}))
    )) == 0
    error_message = "Without domain.zone_id this module can prove to ACM nothing: ask for the certificates (aws acm request-certificate --validation-method DNS --domain-name NAME --region REGION), set their record in your DNS, and give domain.certificate_arns for ${try(var.domain.via, "") == "cloudfront" ? "us-east-1" : join(", ", var.regions)}."
  }
  validation {
    condition     = alltrue([for arn in values(try(coalesce(var.domain.certificate_arns, {}), {})) : can(regex("^arn:[a-z-]+:acm:[a-z0-9-]+:[0-9]{12}:certificate/.+$", arn))])
    error_message = "domain.certificate_arns takes ARNs such as arn:aws:acm:us-east-1:123456789012:certificate/…, by region."
  }
}

variable "function_url" {
  description = "Makes a URL for each function. false makes an API of API Gateway its one way in, also in the regions where AWS has no function URLs."
  type        = bool
  default     = true
  nullable    = false
}

variable "kms_key_arn" {
  description = "KMS key for the environment and the log, in which {region} stands for the region, as a key of several regions wants it: arn:aws:kms:{region}:123456789012:key/mrk-…. CloudWatch Logs must be allowed to use it. If null, AWS's own keys."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:([a-z0-9-]+|\\{region\\}):[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be a key's ARN (no alias), such as arn:aws:kms:{region}:123456789012:key/mrk-0123, in which {region} stands for each region."
  }
  validation {
    condition     = var.kms_key_arn == null || length(var.regions) == 1 || strcontains(coalesce(var.kms_key_arn, "{region}"), "{region}")
    error_message = "A KMS key holds for one region: make it a multi-region key, replicate it, and write {region} where its ARN has the region."
  }
}

variable "log_retention_days" {
  description = "Days after which CloudWatch forgets the log."
  type        = number
  default     = 7
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653 days: choose one of these for log_retention_days."
  }
}

variable "max_instances" {
  description = "Most requests at a time per region (reserved concurrency). AWS takes it out of the account's quota and wants 100 left over, which a new account does not have. 0 is the emergency stop: every request is refused, and nothing is lost. If null, the account's quota is the limit."
  type        = number
  default     = null

  validation {
    condition     = var.max_instances == null || (try(var.max_instances >= 0, false) && try(floor(var.max_instances) == var.max_instances, false))
    error_message = "max_instances must be a whole number, 0 to stop the relay at once, or null for the account's own limit."
  }
}

variable "memory" {
  description = "Megabytes of a function, which also say what it costs and how much processor it gets."
  type        = number
  default     = 256
  nullable    = false

  validation {
    condition     = var.memory >= 128 && var.memory <= 10240 && floor(var.memory) == var.memory
    error_message = "memory must be a whole number of megabytes from 128 to 10240; 256 are enough for a relay."
  }
}

variable "monthly_budget" {
  description = "US dollars that the whole AWS account may cost in a month before alarm_email is told: at 80 % and when 100 % are forecast. AWS stops nothing. If null, there is no budget."
  type        = number
  default     = null

  validation {
    condition     = var.monthly_budget == null || try(var.monthly_budget > 0, false)
    error_message = "monthly_budget must be more than 0 US dollars, or null for no budget."
  }
  validation {
    condition     = var.monthly_budget == null || var.alarm_email != null || var.alarm_topic_arn != null
    error_message = "monthly_budget needs alarm_email or alarm_topic_arn, or nobody would be told."
  }
}

variable "name" {
  description = "Name of the relay, its functions, roles and logs. Two relays in one account need two names."
  type        = string
  default     = "relay"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}[a-z0-9]$", var.name))
    error_message = "name must be 2 to 32 lower-case letters, digits and hyphens, begin with a letter and end with none but a letter or digit, such as relay-2."
  }
}

variable "package" {
  description = "Where the function's zip is: path, a file; or url and sha256, a download, such as lambda-arm64.zip of a release and its line in SHA256SUMS (it takes curl); or s3_bucket and s3_key, in which {region} stands for the region, as AWS wants the bucket there (and sha256, so that a new zip under the same key is noticed). If null, what make dist/lambda.zip has built in the clone that this module lies in."
  type = object({
    path      = optional(string)
    s3_bucket = optional(string)
    s3_key    = optional(string)
    sha256    = optional(string)
    url       = optional(string)
  })
  default = null

  validation {
    condition     = var.package != null || length(local.local_zips) > 0
    error_message = "The function's zip is missing: take the URL of lambda-${local.goarch}.zip and its SHA-256 from the release's page (SHA256SUMS has it) and set package = { url = \"https://…/lambda-${local.goarch}.zip\", sha256 = \"…\" }. In a clone, run make dist/lambda.zip${local.goarch == "arm64" ? "" : " GOARCH=amd64"}."
  }
  validation {
    condition     = var.package == null || length([for place in [try(var.package.path, null), try(var.package.url, null), try(var.package.s3_bucket, null)] : place if place != null]) == 1
    error_message = "package takes one of path, url (with sha256) and s3_bucket (with s3_key)."
  }
  validation {
    condition     = try(var.package.path, null) == null || try(fileexists(var.package.path), false)
    error_message = "There is no file at package.path: download lambda-${local.goarch}.zip from the release, or run make dist/lambda.zip in a clone."
  }
  validation {
    condition     = try(var.package.url, null) == null || (can(regex("^https?://[^ ]+$", var.package.url)) && try(var.package.sha256, null) != null)
    error_message = "package.url must begin with https:// and needs package.sha256, the zip's line in the release's SHA256SUMS, or nobody would notice another zip."
  }
  validation {
    condition     = try(var.package.sha256, null) == null || can(regex("^[0-9A-Fa-f]{64}$", var.package.sha256))
    error_message = "package.sha256 must be 64 hexadecimal digits, as in SHA256SUMS."
  }
  validation {
    condition     = (try(var.package.s3_bucket, null) == null) == (try(var.package.s3_key, null) == null)
    error_message = "package.s3_bucket and package.s3_key go together: set both or neither."
  }
  validation {
    condition     = !anytrue([for word in var.architecture == "arm64" ? ["amd64", "x86"] : ["arm64", "aarch64"] : strcontains(basename(coalesce(try(var.package.path, null), try(var.package.url, null), try(var.package.s3_key, null), "-")), word)])
    error_message = "The zip's name says that it is for another processor than architecture = \"${var.architecture}\": take lambda-${local.goarch}.zip, or set architecture to what the zip is for."
  }
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds the functions' roles, where the organisation wants one."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary == null || can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary))
    error_message = "permissions_boundary must be a policy's ARN, such as arn:aws:iam::123456789012:policy/boundary."
  }
}

variable "regions" {
  description = "AWS regions to run in, in order of preference."
  type        = list(string)
  default     = ["us-east-1"]
  nullable    = false

  validation {
    condition     = length(var.regions) > 0
    error_message = "regions is empty: name at least one, such as [\"us-east-1\"]."
  }
  validation {
    condition     = length(distinct(var.regions)) == length(var.regions)
    error_message = "regions names a region twice: take one of the two out."
  }
  validation {
    condition     = var.allow_any_region || length(setintersection(var.regions, keys(local.refused_regions))) == 0
    error_message = "OpenAI refuses requests from ${join(", ", [for region in var.regions : "${region} (${local.refused_regions[region]})" if contains(keys(local.refused_regions), region)])}: choose another region. If you know better, set allow_any_region = true."
  }
  validation {
    condition     = var.allow_any_region || !var.function_url || length(setintersection(var.regions, local.regions_without_urls)) == 0
    error_message = "AWS offers no function URLs in ${join(", ", setintersection(var.regions, local.regions_without_urls))}, as of this module's last look: set function_url = false to use API Gateway, or choose another region. If AWS does now, set allow_any_region = true."
  }
  validation {
    condition     = alltrue([for region in var.regions : can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]+$", region))])
    error_message = "regions takes names such as us-east-1: no such name is ${join(", ", [for region in var.regions : region if !can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]+$", region))])}."
  }
}

variable "role_arn" {
  description = "Role of your own for the functions, where you may not make one. It must be allowed to write the log (and to read the secret, use the key and bind to the VPC, where these are set). If null, one for each region."
  type        = string
  default     = null

  validation {
    condition     = var.role_arn == null || can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/.+$", var.role_arn))
    error_message = "role_arn must be a role's ARN, such as arn:aws:iam::123456789012:role/relay."
  }
  validation {
    condition     = var.role_arn == null || var.permissions_boundary == null
    error_message = "permissions_boundary is for roles that this module makes, and with role_arn it makes none: set one of the two."
  }
}

variable "secrets_extension_arns" {
  description = "Layer ARN of AWS's Parameters and Secrets extension (for architecture) by region, in place of the built-in ones. Only with api_key_secret."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = var.api_key_secret == null || length(setsubtract(var.regions, concat(keys(local.secrets_extension_arns), keys(var.secrets_extension_arns)))) == 0
    error_message = "No layer of AWS's Parameters and Secrets extension is known for ${join(", ", setsubtract(var.regions, concat(keys(local.secrets_extension_arns), keys(var.secrets_extension_arns))))}: look its ${var.architecture} ARN up in AWS's Secrets Manager user guide and set secrets_extension_arns = { region = \"arn:…\" }."
  }
}

variable "settings" {
  description = "Further RELAY_* settings, such as { RELAY_MAX_STREAM_TIME = \"10m\" }; README of the repository lists them all."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = var.domain == null || lookup(var.settings, "RELAY_ALLOWED_HOSTS", "*") == "*"
    error_message = "With a domain, leave RELAY_ALLOWED_HOSTS out of settings: health checks and CloudFront call the function by AWS's host names, and the relay would refuse them."
  }
}

variable "tags" {
  description = "Tags for everything that can have them."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "timeout" {
  description = "Seconds after which AWS ends a request or stream, and what a stream whose reader has left may cost at most."
  type        = number
  default     = 900
  nullable    = false

  validation {
    condition     = var.timeout >= 30 && var.timeout <= 900 && floor(var.timeout) == var.timeout
    error_message = "timeout must be a whole number of seconds from 30 to 900, which is AWS's limit."
  }
}

variable "upstreams" {
  description = "Base URLs of the API, in order of preference. Another relay's access token and a name may stand in one: https://rt_TOKEN@host#name."
  type        = list(string)
  default     = ["https://api.openai.com"]
  nullable    = false
  sensitive   = true
}

variable "vpc" {
  description = "Subnets and security groups of your own, by region, for one fixed address to the outside (of a NAT gateway, which you make), as allow-lists want it. Without a way out of the subnets, no request gets to OpenAI. ipv6 lets functions use IPv6 in dual-stack subnets. If empty, AWS's own network."
  type = map(object({
    ipv6               = optional(bool, false)
    security_group_ids = list(string)
    subnet_ids         = list(string)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = length(var.vpc) == 0 || length(setsubtract(var.regions, keys(var.vpc))) == 0
    error_message = "vpc has no subnets for ${join(", ", setsubtract(var.regions, keys(var.vpc)))}: a region without would call from addresses of AWS's. Add them, or take the region out."
  }
  validation {
    condition     = alltrue([for network in values(var.vpc) : length(network.subnet_ids) > 0 && length(network.security_group_ids) > 0])
    error_message = "Each entry of vpc must have one or more subnet_ids and security_group_ids."
  }
}
