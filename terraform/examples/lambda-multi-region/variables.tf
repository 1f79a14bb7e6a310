variable "access_tokens" {
  description = "Tokens that clients show the relay, the first one given out: set TF_VAR_access_tokens, and no file has them. \"sha256:\" and a token's hash keeps the token out of the state, too. If empty, one is made."
  type        = list(string)
  default     = []
  sensitive   = true
}

variable "alarm_email" {
  description = "Address for alarms and the budget. If null, there are none."
  type        = string
  default     = null
}

variable "domain" {
  description = "Domain of your own, and the Route 53 hosted zone that holds it. If null, there are function URLs only."
  type = object({
    name    = string
    zone_id = string
  })
  default = null
}

variable "regions" {
  description = "AWS regions to run in, in order of preference."
  type        = list(string)
  default     = ["us-east-1", "us-west-2", "eu-west-3"]
}
