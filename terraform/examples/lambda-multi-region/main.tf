# Three regions of AWS with alarms, and a domain that leads to the nearest healthy region if you have a hosted zone for it.
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

  # AWS does not tell the function that a client has disconnected, and bills the stream to its end.
  settings = { RELAY_MAX_STREAM_TIME = "10m" }
}
