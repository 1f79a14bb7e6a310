terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.28, < 7"
    }
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = ">= 5.22, < 6"
    }
    google = {
      source  = "hashicorp/google"
      version = ">= 7, < 8"
    }
    random = {
      source  = "hashicorp/random"
      version = ">= 3.5, < 4"
    }
    vercel = {
      source  = "vercel/vercel"
      version = "~> 5.0"
    }
  }
}
