variable "access_tokens" {
  description = "Tokens that clients show the relay, the first one given out: set TF_VAR_access_tokens, and no file has them. \"sha256:\" and a token's hash keeps the token out of the state, too. If empty, one is made."
  type        = list(string)
  default     = []
  sensitive   = true
}

variable "domain" {
  description = "Domain of your own. If null, there is the project's vercel.app name only."
  type        = object({ name = string })
  default     = null
}

variable "name" {
  description = "Name of the project, and of its vercel.app domain if nobody has it yet."
  type        = string
  default     = "relay"
}

variable "team" {
  description = "Slug or id of the Vercel team. If null, the token's own account."
  type        = string
  default     = null
}
