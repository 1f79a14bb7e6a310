variable "access_tokens" {
  description = "Access tokens; the output access_token is the first. Set TF_VAR_access_tokens to keep them out of files. \"sha256:\" and a token's hash keeps the token out of the state too. If empty, one is generated."
  type        = list(string)
  default     = []
  sensitive   = true
}

variable "domain" {
  description = "Your own domain. If null, there are the functions' own URLs only, and no load balancer to pay for."
  type = object({
    name                = string
    requests_per_minute = optional(number)
    zone                = optional(string)
  })
  default = null
}

variable "project" {
  description = "Id of the Google Cloud project."
  type        = string
}

variable "regions" {
  description = "Google Cloud regions to run in, in order of preference."
  type        = list(string)
  default     = ["us-central1", "europe-west1"]
}
