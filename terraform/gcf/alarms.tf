# Alarms by mail. One policy watches all regions.
locals {
  service = "resource.type = \"cloud_run_revision\" AND resource.labels.service_name = \"${var.name}\""

  alerts = var.alarm_email == null ? {} : {
    "5xx" = {
      description = "More than 10 responses of 5xx within 5 minutes, from the relay or OpenAI; the log shows which."
      filter      = "${local.service} AND metric.type = \"run.googleapis.com/request_count\" AND metric.labels.response_code_class = \"5xx\""
      aligner     = "ALIGN_SUM"
      reducer     = "REDUCE_SUM"
      threshold   = 10
    }
    instances = {
      description = "max_instances are running, so requests wait or are refused."
      filter      = "${local.service} AND metric.type = \"run.googleapis.com/container/instance_count\" AND metric.labels.state = \"active\""
      aligner     = "ALIGN_MEAN" # means add up over revisions; maxima would count an instance once before a deployment and once after
      reducer     = "REDUCE_SUM"
      threshold   = var.max_instances - 0.5
    }
    slow = {
      description = "Requests take nearly the whole timeout of ${local.timeout} s, at which they are cut."
      filter      = "${local.service} AND metric.type = \"run.googleapis.com/request_latencies\""
      aligner     = "ALIGN_PERCENTILE_99"
      reducer     = "REDUCE_MAX"
      threshold   = (local.timeout - 60) * 1000
    }
  }
}

resource "google_monitoring_notification_channel" "mail" {
  count = var.alarm_email == null ? 0 : 1

  project      = var.project
  display_name = "Relay ${var.name}"
  type         = "email"
  labels       = { email_address = var.alarm_email }
  user_labels  = var.labels

  depends_on = [google_project_service.this]
}

resource "google_monitoring_alert_policy" "this" {
  for_each = local.alerts

  project               = var.project
  display_name          = "${var.name}-${each.key}"
  combiner              = "OR"
  notification_channels = google_monitoring_notification_channel.mail[*].name
  user_labels           = var.labels

  conditions {
    display_name = each.value.description

    condition_threshold {
      filter          = each.value.filter
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.threshold
      duration        = "0s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = each.value.aligner
        cross_series_reducer = each.value.reducer
        group_by_fields      = ["resource.label.location"]
      }
    }
  }
}

data "google_project" "this" {
  count = var.monthly_budget == null ? 0 : 1

  project_id = var.project
}

resource "google_billing_budget" "this" {
  count = var.monthly_budget == null ? 0 : 1

  billing_account = data.google_project.this[0].billing_account
  display_name    = "${var.name}-monthly"

  budget_filter {
    projects        = ["projects/${data.google_project.this[0].number}"]
    calendar_period = "MONTH"
  }

  amount {
    specified_amount {
      units = tostring(var.monthly_budget)
    }
  }

  threshold_rules {
    threshold_percent = 0.8
  }

  threshold_rules {
    threshold_percent = 1
    spend_basis       = "FORECASTED_SPEND"
  }

  all_updates_rule {
    monitoring_notification_channels = google_monitoring_notification_channel.mail[*].id
    disable_default_iam_recipients   = true
  }

  depends_on = [google_project_service.this]
}
