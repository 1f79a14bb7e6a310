variable "access_tokens" {
  description = "Access tokens; a client must send one of them. Each is plain text (32 characters or more) or \"sha256:\" and 64 hexadecimal digits. If empty, a token of 256 random bits is generated: see the output access_token. The function gets hashes only."
  type        = list(string)
  default     = []
  nullable    = false
  sensitive   = true
}

variable "alarm_email" {
  description = "Address for mails about errors, throttling, 5xx responses, requests near the timeout, and the budget. AWS sends a mail per region that must be confirmed. If null, there are no alarms."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_email == null || can(regex("^[^@ ]+@[^@ ]+$", var.alarm_email))
    error_message = "alarm_email must be one mail address, such as ops@example.com, or null for no alarms."
  }
}

variable "alarm_topic_arn" {
  description = "Your own SNS topic for the alarms, in place of mails. {region} in it is replaced by the region: arn:aws:sns:{region}:123456789012:ops. With a domain, a topic in us-east-1 is required too, where Route 53 reports unhealthy regions."
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
  description = "Accepts regions that this module refuses (without function URLs, or refused by OpenAI), and disables the warning about unknown regions."
  type        = bool
  default     = false
  nullable    = false
}

variable "allowed_origins" {
  description = "Web origins that browsers may call from, such as https://chat.example; [\"*\"] for all, [\"none\"] for none."
  type        = list(string)
  default     = ["*"]
  nullable    = false
}

variable "api_key" {
  description = "OpenAI key that the relay sends in place of the clients'. It is in the state and in the function's environment; api_key_secret keeps it out of both. If both are null, clients send their own key."
  type        = string
  default     = null
  sensitive   = true
}

variable "api_key_secret" {
  description = "Name of a secret in AWS Secrets Manager whose value is the OpenAI key. It must exist in every region (replicate it). The function reads it through AWS's Parameters and Secrets extension, and refuses all requests if it cannot."
  type        = string
  default     = null

  validation {
    condition     = var.api_key_secret == null || can(regex("^[A-Za-z0-9/_+=.@-]{1,512}$", var.api_key_secret))
    error_message = "api_key_secret must be the secret's name, such as relay/openai, not an ARN: an ARN is for one region only."
  }
  validation {
    condition     = var.api_key_secret == null || nonsensitive(var.api_key == null)
    error_message = "Set api_key or api_key_secret, not both: the relay would not know which key to send."
  }
}

variable "architecture" {
  description = "Processor architecture of the zip: \"arm64\" (lambda-arm64.zip, cheaper) or \"x86_64\" (lambda-amd64.zip)."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be \"arm64\" or \"x86_64\", which is AWS's name for amd64."
  }
}

variable "dashboard" {
  description = "Whether to create a CloudWatch dashboard of requests, failures, time to first byte and usage in all regions, and saved queries for Logs Insights in each. AWS bills dashboards, and the log that each look at it reads: see What it costs."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.dashboard || !contains(["warn", "error", "off"], lower(lookup(var.settings, "RELAY_LOG_LEVEL", "info")))
    error_message = "dashboard counts the log's lines, and RELAY_LOG_LEVEL = \"${lookup(var.settings, "RELAY_LOG_LEVEL", "info")}\" leaves out the requests that succeed: remove it from settings, or leave dashboard false."
  }
}

variable "domain" {
  description = "Your own domain: name; via, \"api_gateway\" (every region, latency routing with health checks) or \"cloudfront\" (one region); zone_id, its Route 53 hosted zone (if null, set the records in the output dns_records elsewhere); certificate_arns, ACM certificates by region, in place of new ones (required without zone_id; CloudFront's is in us-east-1); deep_health, whether health checks call OpenAI too. If null, there are the regions' own URLs only."
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
    error_message = "domain.via = \"cloudfront\" works with one region: CloudFront's origin groups repeat GET only, so a second region would never get a POST. Use \"api_gateway\" for several."
  }
  validation {
    condition     = try(var.domain.via, "") != "cloudfront" || var.function_url
    error_message = "domain.via = \"cloudfront\" forwards to the function URL: leave function_url true, or use \"api_gateway\"."
  }
  validation {
    condition = var.domain == null || try(var.domain.zone_id, null) != null || length(setsubtract(
      try(var.domain.via, "") == "cloudfront" ? ["us-east-1"] : var.regions, keys(try(coalesce(var.domain.certificate_arns, {}), {}))
    )) == 0
    error_message = "Without domain.zone_id this module cannot validate certificates: request them (aws acm request-certificate --validation-method DNS --domain-name NAME --region REGION), set their validation record in your DNS, and set domain.certificate_arns for ${try(var.domain.via, "") == "cloudfront" ? "us-east-1" : join(", ", var.regions)}."
  }
  validation {
    condition     = alltrue([for arn in values(try(coalesce(var.domain.certificate_arns, {}), {})) : can(regex("^arn:[a-z-]+:acm:[a-z0-9-]+:[0-9]{12}:certificate/.+$", arn))])
    error_message = "domain.certificate_arns must have ARNs such as arn:aws:acm:us-east-1:123456789012:certificate/…, by region."
  }
}

variable "function_url" {
  description = "Whether each function has a function URL. If false, an API Gateway API is its only endpoint, which also works in regions without function URLs."
  type        = bool
  default     = true
  nullable    = false
}

variable "kms_key_arn" {
  description = "KMS key for the environment and the log. {region} in it is replaced by the region, for multi-region keys: arn:aws:kms:{region}:123456789012:key/mrk-…. CloudWatch Logs must be allowed to use it. If null, AWS's own keys."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:([a-z0-9-]+|\\{region\\}):[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be a key's ARN (not an alias), such as arn:aws:kms:{region}:123456789012:key/mrk-0123, with {region} in place of the region."
  }
  validation {
    condition     = var.kms_key_arn == null || length(var.regions) == 1 || strcontains(coalesce(var.kms_key_arn, "{region}"), "{region}")
    error_message = "A KMS key is for one region: make it a multi-region key, replicate it, and write {region} where its ARN has the region."
  }
}

variable "log_retention_days" {
  description = "Days that CloudWatch keeps the log."
  type        = number
  default     = 7
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653 days: choose one of these for log_retention_days."
  }
}

variable "max_instances" {
  description = "Max concurrent requests per region (reserved concurrency). AWS takes it from the account's quota and requires 100 to be left, which a new account does not have. 0 is the emergency stop: every request is refused, and nothing is deleted. If null, the account's quota is the limit."
  type        = number
  default     = null

  validation {
    condition     = var.max_instances == null || (try(var.max_instances >= 0, false) && try(floor(var.max_instances) == var.max_instances, false))
    error_message = "max_instances must be a whole number, 0 to stop the relay at once, or null for the account's quota."
  }
}

variable "memory" {
  description = "Memory of a function in MB, which also determines its price and its share of CPU."
  type        = number
  default     = 256
  nullable    = false

  validation {
    condition     = var.memory >= 128 && var.memory <= 10240 && floor(var.memory) == var.memory
    error_message = "memory must be a whole number of megabytes from 128 to 10240; 256 is enough for a relay."
  }
}

variable "monthly_budget" {
  description = "Monthly budget of the whole AWS account in US dollars. alarm_email gets a mail at 80 %, and when 100 % is forecast. AWS stops nothing. If null, there is no budget."
  type        = number
  default     = null

  validation {
    condition     = var.monthly_budget == null || try(var.monthly_budget > 0, false)
    error_message = "monthly_budget must be more than 0 US dollars, or null for no budget."
  }
  validation {
    condition     = var.monthly_budget == null || var.alarm_email != null || var.alarm_topic_arn != null
    error_message = "monthly_budget needs alarm_email or alarm_topic_arn, or nobody would be notified."
  }
}

variable "name" {
  description = "Name of the relay, its functions, roles and logs. Two relays in one account need two names."
  type        = string
  default     = "relay"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}[a-z0-9]$", var.name))
    error_message = "name must be 2 to 32 lower-case letters, digits and hyphens, begin with a letter and end with a letter or digit, such as relay-2."
  }
}

variable "package" {
  description = "Where the function's zip is: path, a file; or url and sha256, a download (requires curl), such as lambda-arm64.zip of a release and its line in SHA256SUMS; or s3_bucket and s3_key, in which {region} is replaced by the region, as the bucket must be there (and sha256, so that a new zip under the same key is noticed). If null, dist/lambda.zip, which make dist/lambda.zip builds, in the clone that this module is in."
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
    error_message = "The function's zip is missing: copy the URL of lambda-${local.goarch}.zip and its SHA-256 (in SHA256SUMS) from the release's page, and set package = { url = \"https://…/lambda-${local.goarch}.zip\", sha256 = \"…\" }. In a clone, run make dist/lambda.zip${local.goarch == "arm64" ? "" : " GOARCH=amd64"}."
  }
  validation {
    condition     = var.package == null || length([for place in [try(var.package.path, null), try(var.package.url, null), try(var.package.s3_bucket, null)] : place if place != null]) == 1
    error_message = "package must have one of path, url (with sha256) and s3_bucket (with s3_key)."
  }
  validation {
    condition     = try(var.package.path, null) == null || try(fileexists(var.package.path), false)
    error_message = "There is no file at package.path: download lambda-${local.goarch}.zip from the release, or run make dist/lambda.zip in a clone."
  }
  validation {
    condition     = try(var.package.url, null) == null || (can(regex("^https?://[^ ]+$", var.package.url)) && try(var.package.sha256, null) != null)
    error_message = "package.url must begin with https:// and needs package.sha256, the zip's line in the release's SHA256SUMS, which proves that the zip is the release's."
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
    error_message = "The zip's name does not match architecture = \"${var.architecture}\": use lambda-${local.goarch}.zip, or set architecture to the zip's."
  }
}

variable "permissions_boundary" {
  description = "ARN of the permissions boundary of the functions' roles, if your organisation requires one."
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
    error_message = "regions has a duplicate: remove it."
  }
  validation {
    condition     = var.allow_any_region || length(setintersection(var.regions, keys(local.refused_regions))) == 0
    error_message = "OpenAI refuses requests from ${join(", ", [for region in var.regions : "${region} (${local.refused_regions[region]})" if contains(keys(local.refused_regions), region)])}: choose another region. If it does not any more, set allow_any_region = true."
  }
  validation {
    condition     = var.allow_any_region || !var.function_url || length(setintersection(var.regions, local.regions_without_urls)) == 0
    error_message = "AWS offers no function URLs in ${join(", ", setintersection(var.regions, local.regions_without_urls))}, as of November 2026: set function_url = false to use API Gateway, or choose another region. If it does now, set allow_any_region = true."
  }
  validation {
    condition     = alltrue([for region in var.regions : can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]+$", region))])
    error_message = "regions must have names such as us-east-1, unlike ${join(", ", [for region in var.regions : region if !can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]+$", region))])}."
  }
}

variable "role_arn" {
  description = "Your own role for the functions, if you may not create roles. It must be allowed to write the log (and to read the secret, use the key and attach to the VPC, where these are set). If null, the module creates one per region."
  type        = string
  default     = null

  validation {
    condition     = var.role_arn == null || can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/.+$", var.role_arn))
    error_message = "role_arn must be a role's ARN, such as arn:aws:iam::123456789012:role/relay."
  }
  validation {
    condition     = var.role_arn == null || var.permissions_boundary == null
    error_message = "permissions_boundary is for roles that this module creates, and with role_arn it creates none: set one of the two."
  }
}

variable "secrets_extension_arns" {
  description = "Layer ARN of AWS's Parameters and Secrets extension (for architecture) by region, in place of the built-in ones. Used with api_key_secret only."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = var.api_key_secret == null || length(setsubtract(var.regions, concat(keys(local.secrets_extension_arns), keys(var.secrets_extension_arns)))) == 0
    error_message = "No layer of AWS's Parameters and Secrets extension is known for ${join(", ", setsubtract(var.regions, concat(keys(local.secrets_extension_arns), keys(var.secrets_extension_arns))))}: look up its ${var.architecture} ARN in AWS's Secrets Manager user guide and set secrets_extension_arns = { region = \"arn:…\" }."
  }
}

variable "settings" {
  description = "Further RELAY_* settings, such as { RELAY_MAX_STREAM_TIME = \"10m\" }; docs/configuration.md lists them all."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = var.domain == null || lookup(var.settings, "RELAY_ALLOWED_HOSTS", "*") == "*"
    error_message = "With a domain, leave RELAY_ALLOWED_HOSTS out of settings: health checks and CloudFront call the function by AWS's host names, and the relay would refuse them."
  }
}

variable "tags" {
  description = "Tags for every resource that can have tags."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "timeout" {
  description = "Timeout of a request or stream in seconds. A stream whose client has disconnected is billed until then."
  type        = number
  default     = 900
  nullable    = false

  validation {
    condition     = var.timeout >= 30 && var.timeout <= 900 && floor(var.timeout) == var.timeout
    error_message = "timeout must be a whole number of seconds from 30 to 900, AWS's max."
  }
}

variable "tokens" {
  description = "Named access tokens, each of one person or program, by name: { alice = { expires = \"2027-01-31T00:00:00Z\", paths = [\"/v1/responses\"], per_minute = 60 } }; { } permits everything. A token of 256 random bits is generated for each, unless sha256 has the hash of one (relay token new): see the output tokens. The function gets hashes only. docs/configuration.md says what the members mean."
  type = map(object({
    expires       = optional(string)
    max_in_flight = optional(number)
    methods       = optional(list(string))
    models        = optional(list(string))
    paths         = optional(list(string))
    per_minute    = optional(number)
    sha256        = optional(string)
    upstreams     = optional(list(string))
  }))
  default  = {}
  nullable = false
}

variable "upstream_api_keys" {
  description = "API keys of upstreams that have one of their own, which replaces every other key there, by the upstream's name, which follows # in its URL: { azure = \"…\" }. Without a name it is the host and path. They are in the state and in the function's environment."
  type        = map(string)
  default     = {}
  nullable    = false
  sensitive   = true
}

variable "upstreams" {
  description = "Base URLs of the API, in order of preference. One may have another relay's access token and a name: https://rt_TOKEN@host#name."
  type        = list(string)
  default     = ["https://api.openai.com"]
  nullable    = false
  sensitive   = true
}

variable "vpc" {
  description = "Your own subnets and security groups, by region, for a fixed outgoing address (that of your NAT gateway), as allow-lists require. The subnets need a route to the internet, or no request reaches OpenAI. ipv6 lets functions use IPv6 in dual-stack subnets. If empty, AWS's own network."
  type = map(object({
    ipv6               = optional(bool, false)
    security_group_ids = list(string)
    subnet_ids         = list(string)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = length(var.vpc) == 0 || length(setsubtract(var.regions, keys(var.vpc))) == 0
    error_message = "vpc has no subnets for ${join(", ", setsubtract(var.regions, keys(var.vpc)))}: a region without any would call from AWS's addresses. Add them, or remove the region."
  }
  validation {
    condition     = alltrue([for network in values(var.vpc) : length(network.subnet_ids) > 0 && length(network.security_group_ids) > 0])
    error_message = "Each entry of vpc must have at least one of subnet_ids and one of security_group_ids."
  }
}
