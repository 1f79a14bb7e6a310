locals {
  # Settings that the variable settings must not have, and what to do instead.
  managed_settings = {
    RELAY_ACCESS_TOKENS      = "use the variables access_tokens and tokens"
    RELAY_ALLOWED_ORIGINS    = "use the variable allowed_origins"
    RELAY_API_KEY            = "use the variable api_key"
    RELAY_API_KEY_SECRET     = "it is for AWS Lambda only"
    RELAY_LAMBDA_INVOKE_MODE = "it is for AWS Lambda only"
    RELAY_NAME               = "use the variable name"
    RELAY_REGION             = "the platform sets the region"
    RELAY_UPSTREAMS          = "use the variable upstreams"
  }

  environment = module.common.environment
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

# Older versions have the token here: keeps it.
moved {
  from = random_bytes.token
  to   = module.common.random_bytes.token
}

resource "vercel_project" "this" {
  name           = var.name
  root_directory = "vercel"

  # WARNING: this makes all of the project's addresses public, including those of single deployments. Otherwise they show a
  # login page, which no OpenAI client gets past. The access tokens protect the relay.
  vercel_authentication = {
    deployment_type = "none"
  }

  resource_config = {
    fluid                    = true
    function_default_regions = toset(var.regions)
    function_default_timeout = var.timeout
  }
}

# Sensitive: they cannot be read back, not even in Vercel's dashboard.
resource "vercel_project_environment_variable" "this" {
  for_each = nonsensitive(toset(keys(local.environment)))

  project_id = vercel_project.this.id
  key        = each.key
  value      = local.environment[each.key]
  sensitive  = true
  target     = ["preview", "production"]
}

# Changes with the environment. A new variable alone would not create a new deployment.
resource "terraform_data" "environment" {
  input = nonsensitive(sha256(jsonencode(local.environment)))
}

resource "vercel_deployment" "this" {
  project_id  = vercel_project.this.id
  files       = merge([for file in data.vercel_file.source : file.file]...)
  path_prefix = local.source
  production  = true

  # A deployment keeps the environment that it was created with, and its own address: an old one would keep accepting the
  # old tokens.
  delete_on_destroy = true

  project_settings = {
    root_directory = "vercel"
  }

  lifecycle {
    create_before_destroy = true
    replace_triggered_by  = [vercel_project.this, terraform_data.environment]
  }

  depends_on = [vercel_project_environment_variable.this]
}

resource "vercel_project_domain" "this" {
  count = var.domain == null ? 0 : 1

  project_id = vercel_project.this.id
  domain     = var.domain.name
}

data "vercel_domain_config" "this" {
  count = var.domain == null ? 0 : 1

  domain             = vercel_project_domain.this[0].domain
  project_id_or_name = vercel_project.this.id
}
