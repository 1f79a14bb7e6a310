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
