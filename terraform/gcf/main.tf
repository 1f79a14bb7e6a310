locals {
  package_path = coalesce(var.package_path, "${path.module}/../../dist/gcf.zip")
  timeout      = 3600 # Google's default of 60 s is too short for models

  # Settings that a variable sets, and which.
  managed_settings = {
    RELAY_ACCESS_TOKENS      = "access_tokens"
    RELAY_ALLOWED_ORIGINS    = "allowed_origins"
    RELAY_API_KEY            = "api_key or api_key_secret"
    RELAY_API_KEY_SECRET     = "api_key_secret here"
    RELAY_LAMBDA_INVOKE_MODE = "for AWS Lambda only"
    RELAY_NAME               = "name"
    RELAY_REGION             = "set for each region"
    RELAY_UPSTREAMS          = "upstreams"
  }

  environment = merge(
    var.settings,
    {
      RELAY_ACCESS_TOKENS   = join(",", local.token_hashes)
      RELAY_ALLOWED_ORIGINS = join(",", var.allowed_origins)
      RELAY_NAME            = var.name
      RELAY_UPSTREAMS       = join(",", var.upstreams)
    },
    nonsensitive(var.api_key == null) ? {} : { RELAY_API_KEY = var.api_key },
  )

  services = concat(
    ["artifactregistry", "cloudbuild", "cloudfunctions", "iam", "run"],
    var.api_key_secret == null ? [] : ["secretmanager"],
    var.alarm_email == null ? [] : ["monitoring"],
    var.monthly_budget == null ? [] : ["billingbudgets"],
    var.domain == null ? [] : ["compute"],
    try(var.domain.zone, null) == null ? [] : ["dns"],
  )
}

resource "google_project_service" "this" {
  for_each = toset(local.services)

  project            = var.project
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false # others in the project may need it
}

# Source for Google to build. Its place does not depend on regions, so that a change of these replaces nothing.
resource "google_storage_bucket" "source" {
  project                     = var.project
  name                        = "${replace(var.project, "/[.:]/", "-")}-${var.name}-source"
  location                    = "US"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true # it holds copies of the zip only
  labels                      = var.labels
}

# Named for its content: Google builds anew when the name changes, and not otherwise.
resource "google_storage_bucket_object" "source" {
  bucket = google_storage_bucket.source.name
  name   = "gcf-${filesha256(local.package_path)}.zip"
  source = local.package_path

  lifecycle {
    create_before_destroy = true
  }
}

# Without a role: the function needs nothing of Google's. The default account may change the whole project.
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

resource "google_cloudfunctions2_function" "this" {
  for_each = toset(var.regions)

  project     = var.project
  location    = each.key
  name        = var.name
  description = "Relays ${var.name}'s clients to the API. Made by Terraform."
  labels      = var.labels

  build_config {
    runtime         = "go126"
    entry_point     = "Relay"
    service_account = var.build_service_account

    source {
      storage_source {
        bucket = google_storage_bucket.source.name
        object = google_storage_bucket_object.source.name
      }
    }
  }

  service_config {
    available_cpu                    = "1" # with less, Google lets an instance serve one request at a time
    available_memory                 = "512Mi"
    max_instance_request_concurrency = var.max_concurrency
    max_instance_count               = var.max_instances
    timeout_seconds                  = local.timeout
    ingress_settings                 = "ALLOW_ALL"
    all_traffic_on_latest_revision   = true
    service_account_email            = google_service_account.this.email
    environment_variables            = merge(local.environment, { RELAY_REGION = each.key })

    dynamic "secret_environment_variables" {
      for_each = var.api_key_secret[*]

      content {
        key        = "RELAY_API_KEY"
        project_id = var.project
        secret     = secret_environment_variables.value
        version    = "latest"
      }
    }
  }

  depends_on = [google_project_service.this, google_secret_manager_secret_iam_member.api_key]
}

# Without it, every request answers 403 of Google's.
resource "google_cloud_run_v2_service_iam_member" "public" {
  for_each = toset(var.public_invoker ? var.regions : [])

  project  = var.project
  location = each.key
  name     = google_cloudfunctions2_function.this[each.key].name
  role     = "roles/run.invoker"
  member   = "allUsers"
}
