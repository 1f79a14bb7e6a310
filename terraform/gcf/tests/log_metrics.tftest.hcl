# Metrics from the log, as Google gets them.
mock_provider "archive" {}

mock_provider "google" {}

mock_provider "random" {}

variables {
  project       = "my-project-123456"
  regions       = ["europe-west1", "us-central1"]
  access_tokens = ["0123456789abcdef0123456789abcdef"]
}

run "metrics_are_off_unless_asked_for" {
  command = plan

  assert {
    condition     = length(google_logging_metric.this) == 0 && !contains(keys(google_project_service.this), "logging")
    error_message = "There must be no metrics by default: they cost money."
  }
}

run "requests_are_counted_and_times_and_tokens_are_distributions" {
  command = plan

  variables {
    log_metrics = true
    name        = "relay-2"
  }

  assert {
    condition     = toset([for m in google_logging_metric.this : m.name]) == toset([for name in ["requests", "first_byte_ms", "duration_ms", "input_tokens", "output_tokens"] : "relay-2/${name}"])
    error_message = "Metrics must be named after the relay, as two relays may share a project."
  }
  assert {
    condition     = google_logging_metric.this["requests"].metric_descriptor[0].value_type == "INT64" && google_logging_metric.this["requests"].value_extractor == null && length(google_logging_metric.this["requests"].bucket_options) == 0
    error_message = "Lines are counted without a value."
  }
  assert {
    condition = alltrue([for key, m in google_logging_metric.this :
      m.metric_descriptor[0].value_type == "DISTRIBUTION" && m.value_extractor == "EXTRACT(jsonPayload.${key})" && length(m.bucket_options) == 1 if key != "requests"
    ])
    error_message = "Google takes values from lines into distributions only."
  }
  assert {
    condition = alltrue([for m in google_logging_metric.this : m.metric_descriptor[0].metric_kind == "DELTA" &&
      toset([for label in m.metric_descriptor[0].labels : label.key]) == toset(keys(m.label_extractors)) && contains(keys(m.label_extractors), "token")
    ])
    error_message = "Every label must have its extractor, or Google refuses the metric, and every metric the access token's name."
  }
  assert {
    condition     = contains(keys(google_logging_metric.this["requests"].label_extractors), "status") && contains(keys(google_logging_metric.this["input_tokens"].label_extractors), "model")
    error_message = "Requests must be counted by status, and tokens by model."
  }
  assert {
    condition = alltrue([for m in google_logging_metric.this :
      startswith(m.filter, "resource.type = \"cloud_run_revision\" AND resource.labels.service_name = \"relay-2\" AND jsonPayload.msg = \"request\" AND ")
    ])
    error_message = "Only this relay's lines may be counted, and of these only requests."
  }
  assert {
    condition     = contains(keys(google_project_service.this), "logging")
    error_message = "The API must be enabled."
  }
}

run "a_log_without_the_requests_that_succeed_has_no_metrics" {
  command = plan

  variables {
    log_metrics = true
    settings    = { RELAY_LOG_LEVEL = "error" }
  }

  expect_failures = [var.log_metrics]
}
