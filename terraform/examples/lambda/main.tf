# One region of AWS: the quick start.
provider "aws" {
  region = var.region
}

module "relay" {
  source = "../../lambda"

  access_tokens = var.access_tokens
  regions       = [var.region]
}
