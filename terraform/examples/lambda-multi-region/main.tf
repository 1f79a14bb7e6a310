# Three regions of AWS, told when something is wrong, and one domain that leads to the nearest healthy one if you have a
# hosted zone for it.
provider "aws" {
  region = var.regions[0]
}

module "relay" {
  source = "../../lambda"

  access_tokens  = var.access_tokens
  alarm_email    = var.alarm_email
  domain         = var.domain
  monthly_budget = var.alarm_email == null ? null : 20
  regions        = var.regions

  # A stream that nobody reads any more is billed to its end: AWS does not tell the function.
  settings = { RELAY_MAX_STREAM_TIME = "10m" }
}
