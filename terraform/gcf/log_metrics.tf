# Metrics from the log, of all regions together: Cloud Run labels each with its location. A distribution is the one kind that
# takes a value from a line; its sum is what is asked of counts of tokens.
locals {
  log_lines = "${local.service} AND jsonPayload.msg = \"request\" AND jsonPayload.route != \"health\" AND jsonPayload.route != \"page\""

  log_metrics = !var.log_metrics ? {} : {
    requests = {
      description = "Requests; with an error if the relay made one."
      labels      = ["error", "route", "status", "token"]
      unit        = "1"
      value       = null
    }
    first_byte_ms = {
      description = "Time from the request to the first byte of the response."
      labels      = ["route", "token"]
      unit        = "ms"
      value       = "first_byte_ms"
    }
    duration_ms = {
      description = "Time from the request to the end of the response."
      labels      = ["route", "token"]
      unit        = "ms"
      value       = "duration_ms"
    }
    input_tokens = {
      description = "Input tokens of a request, cached ones included, with RELAY_LOG_USAGE."
      labels      = ["model", "token"]
      unit        = "1"
      value       = "input_tokens"
    }
    output_tokens = {
      description = "Output tokens of a request, reasoning included, with RELAY_LOG_USAGE."
      labels      = ["model", "token"]
      unit        = "1"
      value       = "output_tokens"
    }
  }
}

resource "google_logging_metric" "this" {
  for_each = local.log_metrics

  project          = var.project
  name             = "${var.name}/${each.key}"
  description      = each.value.description
  filter           = each.value.value == null ? local.log_lines : "${local.log_lines} AND jsonPayload.${each.value.value} > 0"
  value_extractor  = each.value.value == null ? null : "EXTRACT(jsonPayload.${each.value.value})"
  label_extractors = { for label in each.value.labels : label => "EXTRACT(jsonPayload.${label})" }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = each.value.value == null ? "INT64" : "DISTRIBUTION"
    unit        = each.value.unit

    dynamic "labels" {
      for_each = toset(each.value.labels)

      content {
        key        = labels.key
        value_type = "STRING"
      }
    }
  }

  # From 1 to 1.4 million, in steps of 40 %.
  dynamic "bucket_options" {
    for_each = each.value.value[*]

    content {
      exponential_buckets {
        growth_factor      = 1.4
        num_finite_buckets = 42
        scale              = 1
      }
    }
  }

  depends_on = [google_project_service.this]
}
