variable "access_tokens" {
  description = "Access tokens; a client must send one of them. Each is plain text (32 characters or more) or \"sha256:\" and 64 hexadecimal digits. If empty, a token of 256 random bits is generated: see the output access_token. The function gets hashes only."
  type        = list(string)
  default     = []
  nullable    = false
  sensitive   = true
}

variable "alarm_email" {
  description = "Address for mails about 5xx responses, requests near the timeout, instances near max_instances, and the budget. If null, there are no alerts."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_email == null || can(regex("^[^@ ]+@[^@ ]+$", var.alarm_email))
    error_message = "alarm_email must be one mail address, such as ops@example.com, or null for no alerts."
  }
}

variable "allow_any_region" {
  description = "Accepts regions that this module refuses because OpenAI does, and disables the warning about unknown regions."
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
  description = "Name of a secret in Secret Manager, in the same project, whose latest version is the OpenAI key. Google passes it to each instance as an environment variable, and starts no instance without it."
  type        = string
  default     = null

  validation {
    condition     = var.api_key_secret == null || can(regex("^[A-Za-z0-9_-]{1,255}$", var.api_key_secret))
    error_message = "api_key_secret must be the secret's name, such as openai-key, without the prefix projects/… and without a version."
  }
  validation {
    condition     = var.api_key_secret == null || nonsensitive(var.api_key == null)
    error_message = "Set api_key or api_key_secret, not both: the relay would not know which key to send."
  }
}

variable "build_service_account" {
  description = "Service account that builds the function, as projects/PROJECT/serviceAccounts/EMAIL. If null, Google's default, which has no permissions in new organisations; then the build fails with an error that says so."
  type        = string
  default     = null

  validation {
    condition     = var.build_service_account == null || can(regex("^projects/[^/]+/serviceAccounts/[^/@]+@[^/@]+$", var.build_service_account))
    error_message = "build_service_account must look like projects/my-project/serviceAccounts/builder@my-project.iam.gserviceaccount.com, or be null."
  }
}

variable "direct_urls" {
  description = "Whether the functions' own URLs (…run.app) can be called. false, with a domain, leaves the load balancer as the only endpoint, so its rate limit cannot be bypassed."
  type        = bool
  default     = true
  nullable    = false

  validation {
    condition     = var.direct_urls || var.domain != null
    error_message = "direct_urls = false needs a domain, or there would be no endpoint: set domain, or leave direct_urls true."
  }
}

variable "domain" {
  description = "Your own domain, a global load balancer in front of all regions: name; zone, the name of its Cloud DNS zone in this project (if null, set the records in the output dns_records yourself); requests_per_minute, the max from one address (if null, there is no Cloud Armor rule); failover, \"outliers\" (each of Google's proxies ejects regions that it sees fail) or \"probes\" (regions whose instances fail their readiness probe are ejected; one instance per region always runs and is billed). If null, there are the functions' own URLs only."
  type = object({
    failover            = optional(string, "outliers")
    name                = string
    requests_per_minute = optional(number)
    zone                = optional(string)
  })
  default = null

  validation {
    condition     = var.domain == null || can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+([a-z]{2,}|xn--[a-z0-9-]*[a-z0-9])$", var.domain.name))
    error_message = "domain.name must be a host name in lower case, such as relay.example.com, without https:// and without a path."
  }
  validation {
    condition     = try(var.domain.requests_per_minute, null) == null || try(var.domain.requests_per_minute >= 1 && floor(var.domain.requests_per_minute) == var.domain.requests_per_minute, false)
    error_message = "domain.requests_per_minute must be a whole number of 1 or more, or null for no limit."
  }
  validation {
    condition     = contains(["outliers", "probes"], try(var.domain.failover, "outliers"))
    error_message = "domain.failover must be \"outliers\" (best effort, costs nothing) or \"probes\" (one instance per region always runs)."
  }
}

variable "image" {
  description = "Image to run in place of the one that Cloud Build makes, such as us-docker.pkg.dev/my-project/relay/relay:v1. Nothing is packed, uploaded or built then. It must be in a registry that Cloud Run pulls from."
  type        = string
  default     = null

  validation {
    condition     = var.image == null || can(regex("^[a-z0-9.-]+/[a-z0-9._/-]+(:[A-Za-z0-9._-]+)?(@sha256:[0-9a-f]{64})?$", var.image))
    error_message = "image must be the name of a container image with its registry, such as us-docker.pkg.dev/my-project/relay/relay:v1, without https://."
  }
}

variable "kms_keys" {
  description = "Your own KMS keys for what Google stores, by location: one for each region, and one for source_location in lower case. Google's service agents of Cloud Run, Artifact Registry and Cloud Storage must be allowed to use them. If empty, Google's own keys."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for key in values(var.kms_keys) : can(regex("^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$", key))])
    error_message = "kms_keys must have names such as projects/my-project/locations/us/keyRings/relay/cryptoKeys/relay."
  }
  validation {
    condition     = length(var.kms_keys) == 0 || length(setsubtract(concat(var.regions, var.image == null ? [lower(var.source_location)] : []), keys(var.kms_keys))) == 0
    error_message = "kms_keys has no key for ${join(", ", setsubtract(concat(var.regions, var.image == null ? [lower(var.source_location)] : []), keys(var.kms_keys)))}: a key is for its own location only, so add one there."
  }
}

variable "labels" {
  description = "Labels for every resource that can have labels."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "log_metrics" {
  description = "Whether to create log-based metrics in Cloud Monitoring: requests by status and access token, time to first byte, duration, and counts of input and output tokens. Google bills them by volume: see What it costs."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.log_metrics || !contains(["warn", "error", "off"], lower(lookup(var.settings, "RELAY_LOG_LEVEL", "info")))
    error_message = "log_metrics counts the log's lines, and RELAY_LOG_LEVEL = \"${lookup(var.settings, "RELAY_LOG_LEVEL", "info")}\" leaves out the requests that succeed: remove it from settings, or leave log_metrics false."
  }
}

variable "max_concurrency" {
  description = "Max concurrent requests per instance. They mostly wait, so one instance serves many."
  type        = number
  default     = 80
  nullable    = false

  validation {
    condition     = var.max_concurrency >= 80 && var.max_concurrency <= 1000 && floor(var.max_concurrency) == var.max_concurrency
    error_message = "max_concurrency must be a whole number from 80 to 1000: with fewer, more instances run, and you pay for them while they wait."
  }
}

variable "max_instances" {
  description = "Max instances per region, which limits the cost. New projects have a low quota, so the default is low too."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.max_instances >= 1 && floor(var.max_instances) == var.max_instances
    error_message = "max_instances must be a whole number of 1 or more."
  }
}

variable "min_instances" {
  description = "Min instances per region. An idle one saves the first request a cold start of one or two seconds, and is billed."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.min_instances >= 0 && floor(var.min_instances) == var.min_instances && var.min_instances <= var.max_instances
    error_message = "min_instances must be a whole number from 0 to max_instances."
  }
}

variable "monthly_budget" {
  description = "Monthly budget of the project in the billing account's currency. alarm_email gets a mail at 80 %, and when 100 % is forecast. Google stops nothing. If null, there is no budget."
  type        = number
  default     = null

  validation {
    condition     = var.monthly_budget == null || try(var.monthly_budget >= 1 && floor(var.monthly_budget) == var.monthly_budget, false)
    error_message = "monthly_budget must be a whole number of 1 or more, or null for no budget."
  }
  validation {
    condition     = var.monthly_budget == null || var.alarm_email != null
    error_message = "monthly_budget needs alarm_email, or nobody would be notified: set both or neither."
  }
}

variable "name" {
  description = "Name of the relay, its functions and service account. Two relays in one project need two names."
  type        = string
  default     = "relay"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.name))
    error_message = "name must be 2 to 20 lower-case letters, digits and hyphens, begin with a letter and end with a letter or digit, such as relay-2."
  }
}

variable "package_path" {
  description = "Path of a zip to build in place of the source in this module's repository, such as gcf.zip of a release. If null, the module packs that source."
  type        = string
  default     = null

  validation {
    condition     = var.package_path == null || try(fileexists(var.package_path), false)
    error_message = "There is no file at package_path: download gcf.zip from the release (its page has SHA256SUMS too), run make dist/gcf.zip in a clone, or leave package_path null."
  }
}

variable "project" {
  description = "Id of the Google Cloud project."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project must be the project's id, such as my-project-123456 (see gcloud projects list), not its name or number."
  }
}

variable "public_invoker" {
  description = "How the functions are made public, as the Authorization header is OpenAI's and the access tokens protect them: true grants allUsers the role Cloud Run Invoker; false disables Google's check of that role, which works in organisations that forbid allUsers (domain restricted sharing)."
  type        = bool
  default     = true
  nullable    = false
}

variable "regions" {
  description = "Google Cloud regions to run in, in order of preference."
  type        = list(string)
  default     = ["us-central1"]
  nullable    = false

  validation {
    condition     = length(var.regions) > 0
    error_message = "regions is empty: name at least one, such as [\"us-central1\"]."
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
    condition     = alltrue([for region in var.regions : can(regex("^[a-z]+-[a-z]+[0-9]+$", region))])
    error_message = "regions must have names such as us-central1, unlike ${join(", ", [for region in var.regions : region if !can(regex("^[a-z]+-[a-z]+[0-9]+$", region))])}."
  }
}

variable "settings" {
  description = "Further RELAY_* settings, such as { RELAY_MAX_STREAM_TIME = \"10m\" }; docs/configuration.md lists them all."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "source_location" {
  description = "Location of the source and the image: a multi-region (US, EU, ASIA) or a region. It need not be one of regions."
  type        = string
  default     = "US"
  nullable    = false

  validation {
    condition     = can(regex("^(US|EU|ASIA|us|eu|asia|[a-z]+-[a-z]+[0-9]+)$", var.source_location))
    error_message = "source_location must be US, EU, ASIA or a region such as europe-west1."
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
