# Three clouds, and one list of them all for the gateway, which fails over between them.
provider "aws" {
  region = var.aws_regions[0]
}

provider "google" {
  project = var.project
}

provider "vercel" {
  team = var.team
}

# One token for all, so that clients may go to any.
resource "random_bytes" "token" {
  length = 32
}

module "aws" {
  source = "../../lambda"

  access_tokens = [random_bytes.token.hex]
  name          = var.name
  regions       = var.aws_regions
}

module "gcp" {
  source = "../../gcf"

  access_tokens = [random_bytes.token.hex]
  name          = var.name
  project       = var.project
  regions       = var.gcp_regions
}

module "vercel" {
  source = "../../vercel"

  access_tokens = [random_bytes.token.hex]
  name          = var.name
  regions       = var.vercel_regions
}
