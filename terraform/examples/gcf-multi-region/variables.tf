variable "access_tokens" {
  description = "Tokens that clients show the relay, the first one given out: set TF_VAR_access_tokens, and no file has them. \"sha256:\" and a token's hash keeps the token out of the state, too. If empty, one is made."
  type        = list(string)
  default     = []
  sensitive   = true
}

variable "domain" {
  description = "Domain of your own. If null, there are the functions' own URLs only, and no load balancer to pay for."
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
