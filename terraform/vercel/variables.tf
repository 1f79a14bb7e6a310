variable "access_tokens" {
  description = "Tokens that clients show the relay; any one of them admits. Each is plain (32 characters or more) or \"sha256:\" and 64 hexadecimal digits. If empty, one of 256 random bits is made, which the output access_token gives. The function gets hashes only."
  type        = list(string)
  default     = []
  nullable    = false
  sensitive   = true
}

variable "allow_any_region" {
  description = "Takes regions that this module refuses, since OpenAI does, and does not warn of those it has not heard of."
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
  description = "OpenAI key that the relay puts in place of the clients'. It stands in the state and in the project's sensitive environment variables. If null, clients send their own key."
  type        = string
  default     = null
  sensitive   = true
}

variable "domain" {
  description = "Domain of your own for the project: name; apex, whether it is a registered domain itself, which takes an A record and no CNAME (if null, judged by its form: example.com and example.co.uk are). The output dns_records says what to set where it is registered. If null, the project's vercel.app name is all there is."
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
    error_message = "name must be 2 to 32 lower-case letters, digits and hyphens, begin with a letter and end with none but a letter or digit, such as relay-2."
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
    error_message = "regions names a region twice: take one of the two out."
  }
  validation {
    condition     = var.allow_any_region || length(setintersection(var.regions, keys(local.refused_regions))) == 0
    error_message = "OpenAI refuses requests from ${join(", ", [for region in var.regions : "${region} (${local.refused_regions[region]})" if contains(keys(local.refused_regions), region)])}: choose another region. If you know better, set allow_any_region = true."
  }
  validation {
    condition     = alltrue([for region in var.regions : can(regex("^[a-z]{3}[0-9]+$", region))])
    error_message = "regions takes names such as iad1: no such name is ${join(", ", [for region in var.regions : region if !can(regex("^[a-z]{3}[0-9]+$", region))])}."
  }
}

variable "settings" {
  description = "Further RELAY_* settings, such as { RELAY_MAX_STREAM_TIME = \"10m\" }; README of the repository lists them all."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "source_path" {
  description = "Path of the repository whose core and vercel folders Vercel builds. If null, the repository that this module lies in."
  type        = string
  default     = null

  validation {
    condition     = fileexists("${coalesce(var.source_path, "${path.module}/../..")}/vercel/vercel.json")
    error_message = "The source is missing: source_path must be the repository of the relay, in which there is vercel/vercel.json."
  }
}

variable "timeout" {
  description = "Seconds that a request, stream or WebSocket may take. The Hobby plan allows 300, paid plans 800."
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = var.timeout >= 1 && var.timeout <= 800 && floor(var.timeout) == var.timeout
    error_message = "timeout must be a whole number of seconds from 1 to 800; models that think long want 300 or more."
  }
}

variable "upstreams" {
  description = "Base URLs of the API, in order of preference. Another relay's access token and a name may stand in one: https://rt_TOKEN@host#name."
  type        = list(string)
  default     = ["https://api.openai.com"]
  nullable    = false
  sensitive   = true
}
