variable "access_tokens" {
  description = "Access tokens; the output access_token is the first. Set TF_VAR_access_tokens to keep them out of files. \"sha256:\" and a token's hash keeps the token out of the state too. If empty, one is generated."
  type        = list(string)
  default     = []
  sensitive   = true
}

variable "region" {
  description = "AWS region to run in."
  type        = string
  default     = "us-east-1"
}
