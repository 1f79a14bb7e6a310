# One name before all regions: Google's global load balancer leads to the nearest one, and leaves out for a while those
# that fail.
#
# What the backend service names is made before it and goes after it (create_before_destroy): Google deletes nothing that is
# still named, and without it Terraform would try to, each time a region or the rate limit is taken out.
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

  # Each of Google's proxies counts for itself and by the requests that it happens to carry, so this is best effort. It sees
  # OpenAI's 5xx as well, so it may leave out half of the regions at most.
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
    description = "Too many requests are answered 429."

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
    description = "All others; the access tokens guard the relay."

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

# Named for the domain: a certificate cannot be changed, and the new one must be there before the old one goes.
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

# Port 443 only: whoever calls port 80 sends keys in the clear, and should learn it at once.
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
