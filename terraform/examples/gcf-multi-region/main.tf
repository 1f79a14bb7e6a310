# Two regions of Google Cloud, and a load balancer in front of them if you have a domain.
provider "google" {
  project = var.project
}

module "relay" {
  source = "../../gcf"

  access_tokens = var.access_tokens
  domain        = var.domain
  project       = var.project
  regions       = var.regions
}
