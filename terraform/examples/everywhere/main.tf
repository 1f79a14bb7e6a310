# Four clouds, and one list of their endpoints for the gateway, which fails over between them.
provider "aws" {
  region = var.aws_regions[0]
}

provider "cloudflare" {}

provider "google" {
  project = var.project
}

provider "vercel" {
  team = var.team
}

# One token for all, so that clients can use any of them.
resource "random_bytes" "token" {
  count = nonsensitive(length(var.access_tokens)) == 0 ? 1 : 0

  length = 32
}

locals {
  access_tokens = length(random_bytes.token) > 0 ? random_bytes.token[*].hex : var.access_tokens
}

module "aws" {
  source = "../../lambda"

  access_tokens = local.access_tokens
  name          = var.name
  regions       = var.aws_regions
}

module "cloudflare" {
  source = "../../cloudflare"

  access_tokens         = local.access_tokens
  account_id            = var.account_id
  name                  = var.name
  workers_dev_subdomain = var.workers_dev_subdomain
}

module "gcp" {
  source = "../../gcf"

  access_tokens = local.access_tokens
  name          = var.name
  project       = var.project
  regions       = var.gcp_regions
}

module "vercel" {
  source = "../../vercel"

  access_tokens = local.access_tokens
  name          = var.name
  regions       = var.vercel_regions
}
