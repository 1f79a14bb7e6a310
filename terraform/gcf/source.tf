# The source that Google builds, packed here: no clone, Go or make is needed. It is an allow-list, so that no state,
# variables, .env or stray key can be uploaded.
locals {
  root = "${path.module}/../.."

  source_patterns = [
    "core/**/*.go",
    "core/page/**/*.{css,html,mjs}",
    "gcf/*.go",
    "go.mod",
    "go.sum",
  ]

  source_files = var.package_path != null || var.image != null ? [] : sort(distinct([
    for file in flatten([for pattern in local.source_patterns : tolist(fileset(local.root, pattern))]) :
    file if !endswith(file, "_test.go")
  ]))

  # Google's Go buildpack looks for the function at the archive's root only.
  archive_files = { for file in local.source_files : trimprefix(file, "gcf/") => "${local.root}/${file}" }

  # The hash of the source, not of the archive, whose bytes depend on the machine that packs it.
  source_hash = substr(var.package_path != null ? filesha256(var.package_path) : sha256(jsonencode({ for name, file in local.archive_files : name => filesha256(file) })), 0, 16)

  repository = "${lower(var.source_location)}-docker.pkg.dev/${var.project}/${var.name}"
  image      = coalesce(var.image, "${local.repository}/relay:${local.source_hash}")
}

data "archive_file" "source" {
  count = length(local.source_files) == 0 ? 0 : 1

  type             = "zip"
  output_path      = "${path.root}/.terraform/relay-${var.name}-${local.source_hash}.zip"
  output_file_mode = "0644"

  dynamic "source" {
    for_each = local.archive_files

    content {
      filename = source.key
      content  = file(source.value)
    }
  }
}

# It has copies of the source only. A bucket cannot move, so another location means another name.
resource "google_storage_bucket" "source" {
  count = var.image == null ? 1 : 0

  project                     = var.project
  name                        = "${replace(var.project, "/[.:]/", "-")}-${var.name}-${substr(sha256("${var.source_location} ${local.source_key == null ? "" : local.source_key}"), 0, 8)}"
  location                    = var.source_location
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true
  labels                      = var.labels

  dynamic "encryption" {
    for_each = local.source_key[*]

    content {
      default_kms_key_name = encryption.value
    }
  }
}

# Named after its content, so that nothing is built twice.
resource "google_storage_bucket_object" "source" {
  count = var.image == null ? 1 : 0

  bucket = google_storage_bucket.source[0].name
  name   = "gcf-${local.source_hash}.zip"
  source = var.package_path != null ? var.package_path : data.archive_file.source[0].output_path

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_artifact_registry_repository" "this" {
  count = var.image == null ? 1 : 0

  project       = var.project
  location      = lower(var.source_location)
  repository_id = var.name
  format        = "DOCKER"
  description   = "Images of the relay ${var.name}."
  kms_key_name  = local.source_key
  labels        = var.labels

  # Cloud Run keeps a copy of the images that it runs.
  cleanup_policies {
    id     = "keep-three"
    action = "KEEP"

    most_recent_versions {
      keep_count = 3
    }
  }
  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"

    condition {
      older_than = "604800s"
    }
  }

  depends_on = [google_project_service.this]
}

# A service's build_config records what it was built from and starts no build, and no resource of the provider does. So
# gcloud, with which you have logged in anyway, starts the build: once for all regions, and again for a new source.
resource "terraform_data" "build" {
  count = var.image == null ? 1 : 0

  triggers_replace = [local.image]

  provisioner "local-exec" {
    interpreter = ["/bin/sh", "-c"]
    command     = file("${path.module}/build.sh")
    environment = {
      BUILD_IMAGE           = local.image
      BUILD_PROJECT         = var.project
      BUILD_SERVICE_ACCOUNT = var.build_service_account == null ? "" : var.build_service_account
      BUILD_SOURCE          = "gs://${google_storage_bucket.source[0].name}/${google_storage_bucket_object.source[0].name}"
    }
  }

  depends_on = [google_artifact_registry_repository.this, google_project_service.this]
}
