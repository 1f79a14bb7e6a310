# One Worker on Cloudflare. The provider takes the token from the environment variable CLOUDFLARE_API_TOKEN.
provider "cloudflare" {}

module "relay" {
  source = "../../cloudflare"

  access_tokens         = var.access_tokens
  account_id            = var.account_id
  domain                = var.domain
  file                  = var.file
  name                  = var.name
  workers_dev_subdomain = var.workers_dev_subdomain
}
