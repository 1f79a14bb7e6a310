variable "access_tokens" {
  description = "Access tokens; a client must send one of them. Each is plain text (32 characters or more) or \"sha256:\" and 64 hexadecimal digits. If empty, a token of 256 random bits is generated: see the output access_token. The function gets hashes only."
  type        = list(string)
  default     = []
  nullable    = false
  sensitive   = true
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
  description = "OpenAI key that the relay sends in place of the clients'. It is in the state and in the project's sensitive environment variables. If null, clients send their own key."
  type        = string
  default     = null
  sensitive   = true
}

variable "domain" {
  description = "Your own domain for the project: name; apex, whether it is a registered domain itself, which needs an A record rather than a CNAME (if null, judged by its form: example.com and example.co.uk are). Set the records in the output dns_records. If null, there is the project's vercel.app name only."
  type = object({
    apex = optional(bool)
    name = string
  })
  default = null

  validation {
    condition     = var.domain == null || can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+([a-z]{2,}|xn--[a-z0-9-]*[a-z0-9])$", var.domain.name))
    error_message = "domain.name must be a host name in lower case, such as relay.example.com, without https:// and without a path."
  }
}

variable "name" {
  description = "Name of the relay and of its Vercel project."
  type        = string
  default     = "relay"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}[a-z0-9]$", var.name))
    error_message = "name must be 2 to 32 lower-case letters, digits and hyphens, begin with a letter and end with a letter or digit, such as relay-2."
  }
}

variable "regions" {
  description = "Vercel regions to run in; a request goes to the nearest one. More than one needs a paid plan."
  type        = list(string)
  default     = ["iad1"]
  nullable    = false

  validation {
    condition     = length(var.regions) > 0
    error_message = "regions is empty: name at least one, such as [\"iad1\"]."
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
    condition     = alltrue([for region in var.regions : can(regex("^[a-z]{3}[0-9]+$", region))])
    error_message = "regions must have names such as iad1, unlike ${join(", ", [for region in var.regions : region if !can(regex("^[a-z]{3}[0-9]+$", region))])}."
  }
}

variable "settings" {
  description = "Further RELAY_* settings, such as { RELAY_MAX_STREAM_TIME = \"10m\" }; docs/configuration.md lists them all."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "source_path" {
  description = "Path of the repository whose core and vercel folders Vercel builds. If null, the repository that this module is in."
  type        = string
  default     = null

  validation {
    condition     = fileexists("${coalesce(var.source_path, "${path.module}/../..")}/vercel/vercel.json")
    error_message = "The source is missing: source_path must be the relay's repository, with vercel/vercel.json in it."
  }
}

variable "timeout" {
  description = "Timeout of a request, stream or WebSocket in seconds. The Hobby plan allows 300, paid plans 800."
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = var.timeout >= 1 && var.timeout <= 800 && floor(var.timeout) == var.timeout
    error_message = "timeout must be a whole number of seconds from 1 to 800; slow models need 300 or more."
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
  description = "API keys of upstreams that have one of their own, which replaces every other key there, by the upstream's name, which follows # in its URL: { azure = \"…\" }. Without a name it is the host and path. They are in the state and in the project's sensitive environment variables."
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
