# Two regions of Google Cloud, and a load balancer before both if you have a domain for it.
provider "google" {
  project = var.project
}

module "relay" {
  source = "../../gcf"

  domain  = var.domain
  project = var.project
  regions = var.regions
}
