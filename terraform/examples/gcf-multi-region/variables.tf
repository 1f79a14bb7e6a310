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
