variable "access_tokens" {
  description = "Access tokens; a client must send one of them. Each is plain text (32 characters or more) or \"sha256:\" and 64 hexadecimal digits. If empty, a token of 256 random bits is generated: see the output access_token. The Worker gets hashes only."
  type        = list(string)
  default     = []
  nullable    = false
  sensitive   = true
}

variable "account_id" {
  description = "Id of the Cloudflare account: 32 hexadecimal digits, in the dashboard at Workers & Pages."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-f]{32}$", var.account_id))
    error_message = "account_id must be the account's 32 hexadecimal digits, not its name: they are in the dashboard's address, after dash.cloudflare.com/."
  }
}

variable "allowed_origins" {
  description = "Web origins that browsers may call from, such as https://chat.example; [\"*\"] for all, [\"none\"] for none."
  type        = list(string)
  default     = ["*"]
  nullable    = false
}

variable "api_key" {
  description = "OpenAI key that the relay sends in place of the clients'. It is in the state and in a secret of the Worker. If null, clients send their own key."
  type        = string
  default     = null
  sensitive   = true
}

variable "domain" {
  description = "Your own domain: name, in a zone of the account; zone, that zone's name (if null, Cloudflare finds it). Cloudflare creates the DNS record and the certificate. If null, there is the workers.dev name only."
  type = object({
    name = string
    zone = optional(string)
  })
  default = null

  validation {
    condition     = var.domain == null || can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+([a-z]{2,}|xn--[a-z0-9-]*[a-z0-9])$", var.domain.name))
    error_message = "domain.name must be a host name in lower case, such as relay.example.com, without https:// and without a path."
  }
  validation {
    condition     = try(var.domain.zone, null) == null || try(var.domain.name == var.domain.zone || endswith(var.domain.name, ".${var.domain.zone}"), false)
    error_message = "domain.zone must be the zone of domain.name, such as example.com for relay.example.com."
  }
}

variable "file" {
  description = "Path of the Worker's file. dist/worker.js, which make dist/worker.js builds, includes the page. If null, cloudflare/worker.js of the repository that this module is in, without the page."
  type        = string
  default     = null

  validation {
    condition     = fileexists(coalesce(var.file, "${path.module}/../../cloudflare/worker.js"))
    error_message = "The Worker's file is missing: run make dist/worker.js at the root of the repository, or set file to the path of worker.js."
  }
}

variable "name" {
  description = "Name of the relay and of its Worker."
  type        = string
  default     = "relay"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}[a-z0-9]$", var.name))
    error_message = "name must be 2 to 32 lower-case letters, digits and hyphens, begin with a letter and end with a letter or digit, such as relay-2."
  }
}

variable "settings" {
  description = "Further RELAY_* settings, such as { RELAY_MAX_STREAM_TIME = \"10m\" }; docs/configuration.md lists them all."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = contains(["", "order"], trimspace(lookup(var.settings, "RELAY_POLICY", "")))
    error_message = "RELAY_POLICY must be order on Cloudflare: there are no probes that measure latency."
  }
  validation {
    condition     = contains(["", "auto"], trimspace(lookup(var.settings, "RELAY_UPSTREAM_HTTP", "")))
    error_message = "RELAY_UPSTREAM_HTTP must be auto on Cloudflare, which chooses the version itself."
  }
  validation {
    condition     = contains(["", "0", "false"], trimspace(lookup(var.settings, "RELAY_ALLOW_PRIVATE_HTTP", "")))
    error_message = "RELAY_ALLOW_PRIVATE_HTTP does not work on Cloudflare, which reaches no private networks: remove it."
  }
  validation {
    condition     = contains(["", "0", "false"], trimspace(lookup(var.settings, "RELAY_RESUME_RESPONSES", "")))
    error_message = "RELAY_RESUME_RESPONSES does not work on Cloudflare, where streams pass without being parsed: remove it."
  }
  validation {
    condition     = contains(["", "0", "false"], trimspace(lookup(var.settings, "RELAY_LOG_USAGE", "")))
    error_message = "RELAY_LOG_USAGE does not work on Cloudflare, where responses pass without being parsed: remove it."
  }
  validation {
    condition = alltrue([for name in ["RELAY_BODY_TIMEOUT", "RELAY_DRAIN_TIMEOUT", "RELAY_IDLE_CONNECTION_TIMEOUT", "RELAY_MAX_IN_FLIGHT", "RELAY_PROBE_INTERVAL", "RELAY_WRITE_TIMEOUT"] :
      contains(["", "0", "off"], trimspace(lookup(var.settings, name, "")))
    ])
    error_message = "RELAY_BODY_TIMEOUT, RELAY_DRAIN_TIMEOUT, RELAY_IDLE_CONNECTION_TIMEOUT, RELAY_MAX_IN_FLIGHT, RELAY_PROBE_INTERVAL and RELAY_WRITE_TIMEOUT do not work on Cloudflare: remove them, or set them to off."
  }
}

variable "tokens" {
  description = "Named access tokens, each of one person or program, by name: { alice = { expires = \"2027-01-31T00:00:00Z\", paths = [\"/v1/responses\"], per_minute = 60 } }; { } permits everything. A token of 256 random bits is generated for each, unless sha256 has the hash of one (relay token new): see the output tokens. The Worker gets hashes only. docs/configuration.md says what the members mean."
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

  validation {
    condition     = alltrue([for token in values(var.tokens) : token.max_in_flight == null])
    error_message = "tokens must not have max_in_flight on Cloudflare, where each isolate knows its own requests only: remove it."
  }
}

variable "upstream_api_keys" {
  description = "API keys of upstreams that have one of their own, which replaces every other key there, by the upstream's name, which follows # in its URL: { azure = \"…\" }. Without a name it is the host and path. They are in the state and in a secret of the Worker."
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

variable "workers_dev_subdomain" {
  description = "The account's subdomain of workers.dev, such as my-account for my-account.workers.dev, which the dashboard shows at Workers & Pages. If null, workers.dev is off."
  type        = string
  default     = null

  validation {
    condition     = var.workers_dev_subdomain == null || can(regex("^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", var.workers_dev_subdomain))
    error_message = "workers_dev_subdomain must be the account's part of the name only, such as my-account for my-account.workers.dev."
  }
  validation {
    condition     = var.workers_dev_subdomain != null || var.domain != null
    error_message = "The relay would have no address: set workers_dev_subdomain, domain or both."
  }
}
