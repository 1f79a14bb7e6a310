# One region of AWS: the quick start.
provider "aws" {
  region = var.region
}

module "relay" {
  source = "../../lambda"

  regions = [var.region]
}
