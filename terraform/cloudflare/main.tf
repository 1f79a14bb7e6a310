locals {
  # Settings that the variable settings must not have, and what to do instead. RELAY_REGION is not among them: only
  # Cloudflare knows where a Worker runs.
  managed_settings = {
    RELAY_ACCESS_TOKENS      = "use the variables access_tokens and tokens"
    RELAY_ALLOWED_ORIGINS    = "use the variable allowed_origins"
    RELAY_API_KEY            = "use the variable api_key"
    RELAY_API_KEY_SECRET     = "it is for AWS Lambda only"
    RELAY_LAMBDA_INVOKE_MODE = "it is for AWS Lambda only"
    RELAY_NAME               = "use the variable name"
    RELAY_UPSTREAMS          = "use the variable upstreams"
  }

  # Settings that may hold a secret. They cannot be read back, not even in the dashboard.
  secret_settings = ["RELAY_ACCESS_TOKENS", "RELAY_API_KEY", "RELAY_UPSTREAMS"]

  environment = module.common.environment
  file        = coalesce(var.file, "${path.module}/../../cloudflare/worker.js")
}

module "common" {
  source = "../common"

  access_tokens     = var.access_tokens
  allowed_origins   = var.allowed_origins
  api_key           = var.api_key
  holds_key         = false
  managed_settings  = local.managed_settings
  name              = var.name
  settings          = var.settings
  tokens            = var.tokens
  upstream_api_keys = var.upstream_api_keys
  upstreams         = var.upstreams
}

# One upload has the code and its settings, so that there is no moment without access tokens.
#
# There is no placement: with one, the provider (5.22) uploads no settings at all. See README for how to choose a region.
resource "cloudflare_workers_script" "this" {
  account_id         = var.account_id
  script_name        = var.name
  main_module        = "worker.js"
  content_file       = local.file
  content_sha256     = filesha256(local.file)
  compatibility_date = "2026-11-01" # the date that the Worker is tested with

  # Sorted by name.
  bindings = [for name in nonsensitive(keys(local.environment)) : {
    name = name
    type = contains(local.secret_settings, name) ? "secret_text" : "plain_text"
    text = local.environment[name]
  }]

  observability = {
    enabled = true
  }

  lifecycle {
    precondition {
      condition     = alltrue([for text in values(local.environment) : length(text) <= 5000])
      error_message = "A setting is longer than 5,000 characters, and Cloudflare's max is 5 KB: use fewer access_tokens (max 69), tokens, upstreams or allowed_origins."
    }
  }
}

# Previews are off: each would be another public address, and would keep accepting the tokens of its version.
resource "cloudflare_workers_script_subdomain" "this" {
  account_id       = var.account_id
  script_name      = cloudflare_workers_script.this.script_name
  enabled          = var.workers_dev_subdomain != null
  previews_enabled = false
}

# Cloudflare creates the DNS record and the certificate itself.
resource "cloudflare_workers_custom_domain" "this" {
  count = var.domain == null ? 0 : 1

  account_id = var.account_id
  hostname   = var.domain.name
  service    = cloudflare_workers_script.this.script_name
  zone_name  = var.domain.zone
}
