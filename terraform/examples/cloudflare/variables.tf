variable "access_tokens" {
  description = "Access tokens; the output access_token is the first. Set TF_VAR_access_tokens to keep them out of files. \"sha256:\" and a token's hash keeps the token out of the state too. If empty, one is generated."
  type        = list(string)
  default     = []
  sensitive   = true
}

variable "account_id" {
  description = "Id of the Cloudflare account: 32 hexadecimal digits, in the dashboard's address."
  type        = string
}

variable "domain" {
  description = "Your own domain, in a zone of the account. If null, there is the workers.dev name only."
  type        = object({ name = string, zone = optional(string) })
  default     = null
}

variable "file" {
  description = "Path of the Worker's file, such as ../../../dist/worker.js, which includes the page. If null, the repository's cloudflare/worker.js."
  type        = string
  default     = null
}

variable "name" {
  description = "Name of the relay and of its Worker."
  type        = string
  default     = "relay"
}

variable "workers_dev_subdomain" {
  description = "The account's subdomain of workers.dev, such as my-account. If null, workers.dev is off, and domain must be set."
  type        = string
  default     = null
}
