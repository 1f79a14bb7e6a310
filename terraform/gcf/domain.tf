# One name for all regions: Google's global load balancer routes to the nearest one, and ejects those that fail for a while.
#
# What the backend service refers to is created before it and deleted after it (create_before_destroy): Google refuses to
# delete what is still referred to, as Terraform otherwise would when a region or the rate limit is removed.
locals {
  domain_regions = var.domain == null ? [] : var.regions
  rate_limit     = try(var.domain.requests_per_minute, null)
}

resource "google_compute_region_network_endpoint_group" "this" {
  for_each = toset(local.domain_regions)

  project               = var.project
  region                = each.key
  name                  = var.name
  network_endpoint_type = "SERVERLESS"

  cloud_run {
    service = google_cloud_run_v2_service.this[each.key].name
  }

  lifecycle {
    create_before_destroy = true
  }

  depends_on = [google_project_service.this]
}

resource "google_compute_backend_service" "this" {
  count = var.domain == null ? 0 : 1

  project               = var.project
  name                  = var.name
  load_balancing_scheme = "EXTERNAL_MANAGED"
  protocol              = "HTTPS"
  security_policy       = one(google_compute_security_policy.this[*].id)

  dynamic "backend" {
    for_each = google_compute_region_network_endpoint_group.this

    content {
      group = backend.value.id
    }
  }

  # Each of Google's proxies counts only the requests that it carries itself, so this is best effort. OpenAI's 5xx count as
  # well, so it may eject half of the regions at most.
  dynamic "outlier_detection" {
    for_each = local.probes ? [] : [1]

    content {
      consecutive_errors           = 5
      enforcing_consecutive_errors = 100
      max_ejection_percent         = 50

      base_ejection_time {
        seconds = 30
      }

      interval {
        seconds = 10
      }
    }
  }
}

resource "google_compute_security_policy" "this" {
  count = local.rate_limit == null ? 0 : 1

  project     = var.project
  name        = var.name
  description = "At most ${local.rate_limit} requests a minute from one address."

  rule {
    action      = "throttle"
    priority    = 1000
    description = "Too many requests get a 429."

    match {
      versioned_expr = "SRC_IPS_V1"
      config {
        src_ip_ranges = ["*"]
      }
    }

    rate_limit_options {
      conform_action = "allow"
      exceed_action  = "deny(429)"
      enforce_on_key = "IP"

      rate_limit_threshold {
        count        = local.rate_limit
        interval_sec = 60
      }
    }
  }

  rule {
    action      = "allow"
    priority    = 2147483647
    description = "All others; the access tokens protect the relay."

    match {
      versioned_expr = "SRC_IPS_V1"
      config {
        src_ip_ranges = ["*"]
      }
    }
  }

  lifecycle {
    create_before_destroy = true
  }

  depends_on = [google_project_service.this]
}

resource "google_compute_url_map" "this" {
  count = var.domain == null ? 0 : 1

  project         = var.project
  name            = var.name
  default_service = google_compute_backend_service.this[0].id
}

# Named after the domain: a certificate cannot be changed, and the new one must exist before the old one is deleted.
resource "google_compute_managed_ssl_certificate" "this" {
  count = var.domain == null ? 0 : 1

  project = var.project
  name    = "${var.name}-${substr(sha256(var.domain.name), 0, 8)}"

  managed {
    domains = [var.domain.name]
  }

  lifecycle {
    create_before_destroy = true
  }

  depends_on = [google_project_service.this]
}

resource "google_compute_ssl_policy" "this" {
  count = var.domain == null ? 0 : 1

  project         = var.project
  name            = var.name
  min_tls_version = "TLS_1_2"
  profile         = "MODERN"

  depends_on = [google_project_service.this]
}

resource "google_compute_target_https_proxy" "this" {
  count = var.domain == null ? 0 : 1

  project          = var.project
  name             = var.name
  url_map          = google_compute_url_map.this[0].id
  ssl_certificates = [google_compute_managed_ssl_certificate.this[0].id]
  ssl_policy       = google_compute_ssl_policy.this[0].id
}

resource "google_compute_global_address" "this" {
  count = var.domain == null ? 0 : 1

  project = var.project
  name    = var.name

  depends_on = [google_project_service.this]
}

# Port 443 only: a client of port 80 would send its key in the clear, so it should fail at once.
resource "google_compute_global_forwarding_rule" "this" {
  count = var.domain == null ? 0 : 1

  project               = var.project
  name                  = var.name
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.this[0].id
  port_range            = "443"
  target                = google_compute_target_https_proxy.this[0].id
  labels                = var.labels
}

resource "google_dns_record_set" "this" {
  count = try(var.domain.zone, null) == null ? 0 : 1

  project      = var.project
  managed_zone = var.domain.zone
  name         = "${var.domain.name}."
  type         = "A"
  ttl          = 300
  rrdatas      = [google_compute_global_address.this[0].address]

  depends_on = [google_project_service.this]
}
