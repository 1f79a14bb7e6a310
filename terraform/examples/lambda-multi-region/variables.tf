variable "access_tokens" {
  description = "Access tokens; the output access_token is the first. Set TF_VAR_access_tokens to keep them out of files. \"sha256:\" and a token's hash keeps the token out of the state too. If empty, one is generated."
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
  description = "Your own domain, and its Route 53 hosted zone. If null, there are function URLs only."
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
