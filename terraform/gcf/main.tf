locals {
  timeout = 3600 # Google's default of 300 s is too short for models
  probes  = try(var.domain.failover, "") == "probes"

  # Each key is for one location.
  source_key = length(var.kms_keys) == 0 ? null : lookup(var.kms_keys, lower(var.source_location), null)

  # Settings that the variable settings must not have, and what to do instead.
  managed_settings = {
    RELAY_ACCESS_TOKENS      = "use the variables access_tokens and tokens"
    RELAY_ALLOWED_ORIGINS    = "use the variable allowed_origins"
    RELAY_API_KEY            = "use the variable api_key or api_key_secret"
    RELAY_API_KEY_SECRET     = "use the variable api_key_secret"
    RELAY_LAMBDA_INVOKE_MODE = "it is for AWS Lambda only"
    RELAY_NAME               = "use the variable name"
    RELAY_REGION             = "the module sets it for each region"
    RELAY_UPSTREAMS          = "use the variable upstreams"
  }

  environment = module.common.environment

  services = concat(
    ["iam", "run"],
    var.image == null ? ["artifactregistry", "cloudbuild"] : [],
    length(var.kms_keys) == 0 ? [] : ["cloudkms"],
    var.api_key_secret == null ? [] : ["secretmanager"],
    var.alarm_email == null ? [] : ["monitoring"],
    var.log_metrics ? ["logging"] : [],
    var.monthly_budget == null ? [] : ["billingbudgets"],
    var.domain == null ? [] : ["compute"],
    try(var.domain.zone, null) == null ? [] : ["dns"],
  )
}

module "common" {
  source = "../common"

  access_tokens     = var.access_tokens
  allowed_origins   = var.allowed_origins
  api_key           = var.api_key
  holds_key         = var.api_key_secret != null
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

resource "google_project_service" "this" {
  for_each = toset(local.services)

  project            = var.project
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false # others in the project may use it
}

# Without a role: the function needs no access to Google Cloud. The default account may change the whole project.
resource "google_service_account" "this" {
  project      = var.project
  account_id   = "${var.name}-function"
  display_name = "Relay ${var.name}, without rights"

  depends_on = [google_project_service.this]
}

resource "google_secret_manager_secret_iam_member" "api_key" {
  count = var.api_key_secret == null ? 0 : 1

  project   = var.project
  secret_id = var.api_key_secret
  role      = "roles/secretmanager.secretAccessor"
  member    = "serviceAccount:${google_service_account.this.email}"
}

resource "google_cloud_run_v2_service" "this" {
  for_each = toset(var.regions)

  project              = var.project
  location             = each.key
  name                 = var.name
  description          = "Relays ${var.name}'s clients to the API. Made by Terraform."
  labels               = var.labels
  ingress              = var.direct_urls ? "INGRESS_TRAFFIC_ALL" : "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
  default_uri_disabled = !var.direct_urls
  invoker_iam_disabled = !var.public_invoker
  deletion_protection  = false # otherwise destroy would take two applies

  dynamic "build_config" {
    for_each = google_storage_bucket_object.source

    content {
      function_target = "Relay"
      source_location = "gs://${build_config.value.bucket}/${build_config.value.name}"
      image_uri       = local.image
      service_account = var.build_service_account
    }
  }

  template {
    timeout                          = "${local.timeout}s"
    max_instance_request_concurrency = var.max_concurrency
    service_account                  = google_service_account.this.email
    encryption_key                   = lookup(var.kms_keys, each.key, null)
    labels                           = var.labels

    scaling {
      min_instance_count = local.probes ? max(var.min_instances, 1) : var.min_instances
      max_instance_count = var.max_instances
    }

    containers {
      image = local.image

      resources {
        limits            = { cpu = "1", memory = "512Mi" } # below one CPU, Google limits an instance to one request at a time
        cpu_idle          = true                            # billed only while it serves
        startup_cpu_boost = true
      }

      dynamic "env" {
        for_each = nonsensitive(toset(keys(local.environment)))

        content {
          name  = env.key
          value = local.environment[env.key]
        }
      }

      env {
        name  = "RELAY_REGION"
        value = each.key
      }

      dynamic "env" {
        for_each = var.api_key_secret[*]

        content {
          name = "RELAY_API_KEY"

          value_source {
            secret_key_ref {
              secret  = env.value
              version = "latest"
            }
          }
        }
      }

      # Ready when the relay responds, not when its port is open.
      startup_probe {
        period_seconds    = 1
        timeout_seconds   = 1
        failure_threshold = 30

        http_get {
          path = "/relay/health"
        }
      }

      # Replaces an instance that hangs. The relay responds to this itself, whatever OpenAI does.
      liveness_probe {
        period_seconds    = 30
        timeout_seconds   = 5
        failure_threshold = 3

        http_get {
          path = "/relay/health"
        }
      }

      dynamic "readiness_probe" {
        for_each = local.probes ? [1] : []

        content {
          period_seconds    = 10
          timeout_seconds   = 5
          failure_threshold = 2
          success_threshold = 2

          http_get {
            path = "/relay/health"
          }
        }
      }
    }
  }

  depends_on = [google_project_service.this, google_secret_manager_secret_iam_member.api_key, terraform_data.build]
}

# Without it, Google responds to every request with 403, unless the check is off.
resource "google_cloud_run_v2_service_iam_member" "public" {
  for_each = toset(var.public_invoker ? var.regions : [])

  project  = var.project
  location = each.key
  name     = google_cloud_run_v2_service.this[each.key].name
  role     = "roles/run.invoker"
  member   = "allUsers"
}
