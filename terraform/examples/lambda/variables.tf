variable "region" {
  description = "AWS region to run in."
  type        = string
  default     = "us-east-1"
}
