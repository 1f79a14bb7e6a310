variable "access_tokens" {
  description = "Tokens that clients show the relay, the first one given out: set TF_VAR_access_tokens, and no file has them. \"sha256:\" and a token's hash keeps the token out of the state, too. If empty, one is made."
  type        = list(string)
  default     = []
  sensitive   = true
}

variable "region" {
  description = "AWS region to run in."
  type        = string
  default     = "us-east-1"
}
