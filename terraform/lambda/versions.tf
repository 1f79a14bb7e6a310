terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.28, < 7" # 6.28 has invoked_via_function_url, without which a new URL returns 403
    }
  }
}
