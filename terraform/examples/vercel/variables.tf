variable "access_tokens" {
  description = "Access tokens; the output access_token is the first. Set TF_VAR_access_tokens to keep them out of files. \"sha256:\" and a token's hash keeps the token out of the state too. If empty, one is generated."
  type        = list(string)
  default     = []
  sensitive   = true
}

variable "domain" {
  description = "Your own domain. If null, there is the project's vercel.app name only."
  type        = object({ name = string })
  default     = null
}

variable "name" {
  description = "Name of the project, and of its vercel.app domain if that is free."
  type        = string
  default     = "relay"
}

variable "team" {
  description = "Slug or id of the Vercel team. If null, the token's own account."
  type        = string
  default     = null
}
