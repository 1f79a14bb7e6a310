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

variable "aws_regions" {
  description = "AWS regions to run in, in order of preference."
  type        = list(string)
  default     = ["us-east-1", "eu-west-3"]
}

variable "gcp_regions" {
  description = "Google Cloud regions to run in, in order of preference."
  type        = list(string)
  default     = ["us-central1", "europe-west1"]
}

variable "name" {
  description = "Name of the relay on every cloud."
  type        = string
  default     = "relay"
}

variable "project" {
  description = "Id of the Google Cloud project."
  type        = string
}

variable "team" {
  description = "Slug or id of the Vercel team. If null, the token's own account."
  type        = string
  default     = null
}

variable "vercel_regions" {
  description = "Vercel regions to run in. More than one needs a paid plan."
  type        = list(string)
  default     = ["iad1"]
}

variable "workers_dev_subdomain" {
  description = "The Cloudflare account's subdomain of workers.dev, such as my-account."
  type        = string
}
