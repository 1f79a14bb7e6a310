# One project on Vercel. The provider takes the token from the environment variable VERCEL_API_TOKEN.
provider "vercel" {
  team = var.team
}

module "relay" {
  source = "../../vercel"

  domain = var.domain
  name   = var.name
}
