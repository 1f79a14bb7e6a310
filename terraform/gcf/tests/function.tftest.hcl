# Plan only, with made-up answers of Google: no project, no credentials, no state.
mock_provider "google" {}

mock_provider "random" {}

variables {
  project       = "my-project-123456"
  package_path  = "versions.tf" # any file will do for a plan
  regions       = ["europe-west1", "us-central1"]
  access_tokens = ["0123456789abcdef0123456789abcdef"]
}

run "the_function_streams_long_and_serves_many_with_one_cpu" {
  command = plan

  assert {
    condition = alltrue([for f in google_cloudfunctions2_function.this :
      f.build_config[0].runtime == "go126" && f.build_config[0].entry_point == "Relay" && f.service_config[0].timeout_seconds == 3600 &&
      f.service_config[0].max_instance_request_concurrency == 80 && f.service_config[0].available_cpu == "1" && f.service_config[0].max_instance_count == 5
    ])
    error_message = "The function must be what README says it wants."
  }
  assert {
    condition     = alltrue([for region, f in google_cloudfunctions2_function.this : f.location == region && f.service_config[0].environment_variables.RELAY_REGION == region])
    error_message = "Each function must be in its region, and know it."
  }
}

run "a_new_zip_has_a_new_name" {
  command = plan

  assert {
    condition     = google_storage_bucket_object.source.name == "gcf-${filesha256("versions.tf")}.zip"
    error_message = "The object must be named for its content, or Google would not build anew."
  }
  assert {
    condition     = google_storage_bucket.source.public_access_prevention == "enforced" && google_storage_bucket.source.location == "US"
    error_message = "The bucket must be private, and must not move with the regions."
  }
}

run "the_function_is_open_to_all" {
  command = plan

  assert {
    condition     = alltrue([for m in google_cloud_run_v2_service_iam_member.public : m.role == "roles/run.invoker" && m.member == "allUsers" && m.name == "relay"])
    error_message = "Without allUsers, every request answers 403 of Google's."
  }
  assert {
    condition     = keys(google_cloud_run_v2_service_iam_member.public) == ["europe-west1", "us-central1"] && length(output.open_commands) == 0
    error_message = "In every region."
  }
}

run "where_all_users_is_forbidden_a_command_opens_it" {
  command = plan

  variables {
    public_invoker = false
  }

  assert {
    condition     = length(google_cloud_run_v2_service_iam_member.public) == 0 && output.open_commands[0] == "gcloud run services update relay --project=my-project-123456 --region=europe-west1 --no-invoker-iam-check"
    error_message = "The command must be given out."
  }
}

run "the_function_has_an_account_without_roles" {
  command = plan

  assert {
    condition     = google_service_account.this.account_id == "relay-function" && length(google_secret_manager_secret_iam_member.api_key) == 0
    error_message = "The function must have its own account, without any role."
  }
}

run "a_token_is_never_in_plain_text_in_a_functions_environment" {
  command = plan

  assert {
    condition = alltrue([for f in google_cloudfunctions2_function.this :
      f.service_config[0].environment_variables.RELAY_ACCESS_TOKENS == "sha256:${sha256("0123456789abcdef0123456789abcdef")}" &&
      !strcontains(jsonencode(f.service_config[0].environment_variables), "0123456789abcdef0123456789abcdef")
    ])
    error_message = "The function must get hashes only."
  }
}

run "without_tokens_one_of_256_bits_is_made" {
  command = plan

  variables {
    access_tokens = []
  }

  assert {
    condition     = length(random_bytes.token) == 1 && random_bytes.token[0].length == 32
    error_message = "A token of 32 random bytes must be made."
  }
}

run "a_secret_comes_from_secret_manager" {
  command = plan

  variables {
    api_key_secret = "openai-key"
  }

  assert {
    condition = alltrue([for f in google_cloudfunctions2_function.this :
      f.service_config[0].secret_environment_variables[0].key == "RELAY_API_KEY" && f.service_config[0].secret_environment_variables[0].secret == "openai-key" &&
      !contains(keys(f.service_config[0].environment_variables), "RELAY_API_KEY")
    ])
    error_message = "The key must come from Secret Manager."
  }
  assert {
    condition     = google_secret_manager_secret_iam_member.api_key[0].role == "roles/secretmanager.secretAccessor" && google_secret_manager_secret_iam_member.api_key[0].secret_id == "openai-key"
    error_message = "The account must be allowed that one secret."
  }
  assert {
    condition     = contains(keys(google_project_service.this), "secretmanager")
    error_message = "The API must be on."
  }
}

run "the_apis_it_needs_are_on_and_stay_on" {
  command = plan

  assert {
    condition     = keys(google_project_service.this) == ["artifactregistry", "cloudbuild", "cloudfunctions", "iam", "run"]
    error_message = "The APIs that a function needs, and no others."
  }
  assert {
    condition     = alltrue([for s in google_project_service.this : s.disable_on_destroy == false])
    error_message = "Destroying a relay must not break others in the project."
  }
}

run "settings_and_lists_reach_the_function" {
  command = plan

  variables {
    allowed_origins = ["https://chat.example", "http://localhost:3000"]
    settings        = { RELAY_MAX_STREAM_TIME = "10m" }
    upstreams       = ["https://api.openai.com", "https://rt_abc@other.example#other"]
  }

  assert {
    condition = alltrue([for f in google_cloudfunctions2_function.this :
      f.service_config[0].environment_variables.RELAY_MAX_STREAM_TIME == "10m" &&
      f.service_config[0].environment_variables.RELAY_UPSTREAMS == "https://api.openai.com,https://rt_abc@other.example#other" &&
      f.service_config[0].environment_variables.RELAY_ALLOWED_ORIGINS == "https://chat.example,http://localhost:3000"
    ])
    error_message = "The function must get what was set."
  }
}

run "outputs_are_named_for_regions_in_the_order_given" {
  command = plan

  variables {
    regions = ["us-central1", "europe-west1"]
  }

  assert {
    condition     = keys(output.urls) == ["europe-west1", "us-central1"] && length(output.base_urls) == 2
    error_message = "urls must have every region."
  }
  assert {
    condition     = [for e in output.endpoints : e.name] == ["relay-gcp-us-central1", "relay-gcp-europe-west1"]
    error_message = "endpoints must be in the order of regions."
  }
}

run "alerts_and_budget_are_off_unless_asked_for" {
  command = plan

  assert {
    condition     = length(google_monitoring_alert_policy.this) == 0 && length(google_billing_budget.this) == 0 && length(google_monitoring_notification_channel.mail) == 0
    error_message = "Nobody asked for alerts."
  }
}

run "alerts_watch_5xx_instances_and_the_time_limit" {
  command = plan

  variables {
    alarm_email    = "ops@example.com"
    monthly_budget = 20
  }

  assert {
    condition     = keys(google_monitoring_alert_policy.this) == ["5xx", "instances", "slow"] && google_billing_budget.this[0].amount[0].specified_amount[0].units == "20"
    error_message = "Three alerts and a budget."
  }
  assert {
    condition     = google_monitoring_alert_policy.this["slow"].conditions[0].condition_threshold[0].threshold_value == 3540000
    error_message = "The alert must come a minute before the time limit."
  }
}

run "without_a_domain_there_is_no_load_balancer" {
  command = plan

  assert {
    condition     = length(google_compute_backend_service.this) == 0 && length(google_compute_global_forwarding_rule.this) == 0 && length(output.dns_records) == 0
    error_message = "No domain was asked for, and a load balancer costs money while idle."
  }
}

run "a_domain_leads_to_all_regions_and_leaves_out_those_that_fail" {
  command = plan

  variables {
    domain = { name = "relay.example.com" }
  }

  assert {
    condition     = keys(google_compute_region_network_endpoint_group.this) == ["europe-west1", "us-central1"] && alltrue([for g in google_compute_region_network_endpoint_group.this : g.cloud_run[0].service == "relay"])
    error_message = "Every region must be behind the load balancer."
  }
  assert {
    condition     = google_compute_backend_service.this[0].outlier_detection[0].consecutive_errors == 5 && google_compute_backend_service.this[0].load_balancing_scheme == "EXTERNAL_MANAGED"
    error_message = "Failing regions must be left out."
  }
  assert {
    condition     = google_compute_global_forwarding_rule.this[0].port_range == "443" && google_compute_managed_ssl_certificate.this[0].managed[0].domains == tolist(["relay.example.com"])
    error_message = "TLS only, with a managed certificate."
  }
  assert {
    condition     = length(google_compute_security_policy.this) == 0 && length(google_dns_record_set.this) == 0 && output.dns_records[0].name == "relay.example.com" && output.dns_records[0].type == "A"
    error_message = "Without a zone, the record to set must be given out."
  }
  assert {
    condition     = output.base_urls[0] == "https://relay.example.com/v1" && output.endpoints[0].name == "relay-gcp" && length(output.endpoints) == 3
    error_message = "The own domain must come first."
  }
}

run "a_zone_and_a_rate_limit_are_taken_care_of" {
  command = plan

  variables {
    domain = { name = "relay.example.com", zone = "example-com", requests_per_minute = 600 }
  }

  assert {
    condition     = google_dns_record_set.this[0].name == "relay.example.com." && length(output.dns_records) == 0
    error_message = "The record must be set in the zone."
  }
  assert {
    condition     = length(google_compute_security_policy.this) == 1 && google_compute_security_policy.this[0].description == "At most 600 requests a minute from one address."
    error_message = "The rate rule must be there."
  }
}
