# One project on Vercel. The provider takes the token from the environment variable VERCEL_API_TOKEN.
provider "vercel" {
  team = var.team
}

module "relay" {
  source = "../../vercel"

  access_tokens = var.access_tokens
  domain        = var.domain
  name          = var.name
}
