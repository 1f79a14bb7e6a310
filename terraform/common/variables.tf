variable "access_tokens" {
  description = "Access tokens; a client must send one of them. Each is plain text (32 characters or more) or \"sha256:\" and 64 hexadecimal digits. If empty, a token of 256 random bits is generated: see the output access_token. The function gets hashes only."
  type        = list(string)
  default     = []
  nullable    = false
  sensitive   = true

  validation {
    condition = alltrue([for token in var.access_tokens :
      can(regex("^sha256:[0-9a-fA-F]{64}$", token)) || (!startswith(lower(token), "sha256:") && can(regex("^[!-+\\-/-~]{32,}$", token)))
    ])
    error_message = "An access token is too short or has characters that cannot be sent: use 32 or more visible characters without spaces, commas and dots, such as the output of openssl rand -hex 32, or sha256: and 64 hexadecimal digits."
  }
}

variable "allowed_origins" {
  description = "Web origins that browsers may call from, such as https://chat.example; [\"*\"] for all, [\"none\"] for none."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.allowed_origins) > 0 && alltrue([for origin in var.allowed_origins : can(regex(local.origin_value.like, origin)) && !can(regex(local.origin_value.unlike, origin))])
    error_message = "allowed_origins must be [\"*\"], [\"none\"], or origins such as https://chat.example, without a path."
  }
  validation {
    condition     = length(var.allowed_origins) == 1 || !anytrue([for origin in var.allowed_origins : contains(["*", "none"], origin)])
    error_message = "In allowed_origins, \"*\" and \"none\" must be the only entry: remove it, or remove the others."
  }
}

variable "api_key" {
  description = "OpenAI key that the relay sends in place of the clients'. If null, clients send their own, unless holds_key is true."
  type        = string
  default     = null
  sensitive   = true

  validation {
    condition     = var.api_key == null || can(regex("^[!-+\\--~]+$", var.api_key))
    error_message = "api_key has a character that no API key has, such as a space, a comma or a line break: paste it again, or leave it null."
  }
}

variable "holds_key" {
  description = "Whether the function gets the OpenAI key in another way, such as from a secret store, so that clients send none."
  type        = bool
  nullable    = false
}

variable "managed_settings" {
  description = "Settings that the variable settings must not have, as the module or the platform sets them, and what to do instead."
  type        = map(string)
  nullable    = false
}

variable "name" {
  description = "Name of the relay."
  type        = string
  nullable    = false
}

variable "settings" {
  description = "Further RELAY_* settings, such as { RELAY_MAX_STREAM_TIME = \"10m\" }; docs/configuration.md lists them all."
  type        = map(string)
  nullable    = false

  validation {
    condition     = length(setsubtract(keys(var.settings), local.setting_names)) == 0
    error_message = "${join(", ", setsubtract(keys(var.settings), local.setting_names))}: unknown settings. The settings are ${join(", ", local.setting_names)}."
  }
  validation {
    condition     = length(setintersection(keys(var.settings), keys(var.managed_settings))) == 0
    error_message = "Remove from settings: ${join(", ", [for name in setintersection(keys(var.settings), keys(var.managed_settings)) : "${name} (${var.managed_settings[name]})"])}."
  }
  validation {
    condition     = length([for name, value in var.settings : name if can(local.setting_values[name]) && !(can(regex(local.setting_values[name].like, value)) && !can(regex(local.setting_values[name].unlike, value)))]) == 0
    error_message = "The relay would refuse the value of ${join(", ", [for name, value in var.settings : name if can(local.setting_values[name]) && !(can(regex(local.setting_values[name].like, value)) && !can(regex(local.setting_values[name].unlike, value)))])}, and every request with it: see docs/configuration.md (durations are written as 90s or 10m, sizes in bytes, switches as true or false)."
  }
}

variable "tokens" {
  description = "Named access tokens, by name."
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
  nullable = false

  validation {
    condition     = alltrue([for name in keys(var.tokens) : can(regex("^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$", name))])
    error_message = "A name in tokens must have up to 64 letters, digits and the characters ._@-, and begin with a letter or digit: the log shows it."
  }
  validation {
    condition     = alltrue([for token in values(var.tokens) : token.expires == null || (can(regex("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$", token.expires)) && can(timeadd(token.expires, "0s")))])
    error_message = "expires must be a time such as 2027-01-31T00:00:00Z: ${join(", ", [for name, token in var.tokens : name if token.expires != null && !can(timeadd(token.expires, "0s"))])}."
  }
  validation {
    condition = alltrue(flatten([for token in values(var.tokens) : [for path in coalesce(token.paths, ["/v1/"]) :
      can(regex("^(/[A-Za-z0-9._~!$&'()*+=:@-]+)+/?$", path)) && !can(regex("/\\.\\.?(/|$)", path)) &&
      anytrue([for prefix in split(",", lookup(var.settings, "RELAY_PATHS", "/v1/,/dashboard/")) : startswith("${trimsuffix(path, "/")}/", trimspace(prefix)) || token.paths == null])
    ]]))
    error_message = "paths must be below one of RELAY_PATHS, which are /v1/ and /dashboard/ by default, such as /v1/responses."
  }
  validation {
    condition     = alltrue([for token in values(var.tokens) : try(length(token.paths), 1) > 0 && try(length(token.methods), 1) > 0 && try(length(token.models), 1) > 0 && try(length(token.upstreams), 1) > 0])
    error_message = "paths, methods, models and upstreams must not be empty lists: leave them out to permit all, or remove the token."
  }
  validation {
    condition     = alltrue(flatten([for token in values(var.tokens) : [for model in coalesce(token.models, []) : can(regex("^[A-Za-z0-9._:/@+-]{1,100}\\*?$", model))]]))
    error_message = "models must have 1 to 100 letters, digits and the characters ._:/@+- each, of which a * may follow, such as gpt-5-mini or text-embedding-*."
  }
  validation {
    condition     = alltrue([for token in values(var.tokens) : length(setsubtract(coalesce(token.upstreams, []), local.upstream_names)) == 0])
    error_message = "A token names an upstream that the variable upstreams does not have: the names are ${join(", ", local.upstream_names)}."
  }
  validation {
    condition     = alltrue(flatten([for token in values(var.tokens) : [for method in coalesce(token.methods, []) : contains(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"], method)]]))
    error_message = "methods must be GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS, in capitals."
  }
  validation {
    condition     = alltrue(flatten([for token in values(var.tokens) : [for limit in [token.max_in_flight, token.per_minute] : limit == null ? true : limit >= 1 && limit <= 1000000 && floor(limit) == limit]]))
    error_message = "max_in_flight and per_minute must be whole numbers from 1 to 1000000."
  }
  validation {
    condition     = alltrue([for token in values(var.tokens) : token.sha256 == null || can(regex("^(sha256:)?[0-9a-fA-F]{64}$", token.sha256))])
    error_message = "sha256 must have 64 hexadecimal digits, as relay token new prints them: a token itself must not be here."
  }
  validation {
    condition     = length(distinct([for token in values(var.tokens) : lower(trimprefix(token.sha256, "sha256:")) if token.sha256 != null])) == length([for token in values(var.tokens) : token if token.sha256 != null])
    error_message = "tokens has a hash twice: each name has a token of its own."
  }
}

variable "upstream_api_keys" {
  description = "API keys of upstreams that have one of their own, by the upstream's name."
  type        = map(string)
  default     = {}
  nullable    = false
  sensitive   = true

  validation {
    condition     = alltrue([for key in values(var.upstream_api_keys) : can(regex("^[!-+\\--~]+$", key))])
    error_message = "upstream_api_keys has a key with a character that no API key has, such as a space, a comma or a line break: paste it again."
  }
  validation {
    condition     = length(setsubtract(keys(var.upstream_api_keys), local.upstream_names)) == 0
    error_message = "upstream_api_keys has a name that no upstream has: the names are ${join(", ", local.upstream_names)}."
  }
  validation {
    condition = length(var.upstream_api_keys) == 0 || var.holds_key || nonsensitive(var.api_key != null) || alltrue([for i, upstream in var.upstreams :
      contains(keys(var.upstream_api_keys), local.upstream_names[i]) || startswith(upstream, "https://rt_")
    ])
    error_message = "One upstream has an API key and another has neither a key nor a token: give it one too, or set api_key for all that have none."
  }
}

variable "upstreams" {
  description = "Base URLs of the API, in order of preference. One may have another relay's access token and a name: https://rt_TOKEN@host#name."
  type        = list(string)
  nullable    = false
  sensitive   = true

  validation {
    condition     = length(var.upstreams) > 0 && alltrue([for upstream in var.upstreams : can(regex(local.upstream_value.like, upstream)) && !can(regex(local.upstream_value.unlike, upstream))])
    error_message = "upstreams must be one or more base URLs that begin with https://, such as https://api.openai.com, without a query."
  }
  validation {
    condition     = length(distinct(var.upstreams)) == length(var.upstreams)
    error_message = "upstreams has a duplicate: remove it."
  }
}
