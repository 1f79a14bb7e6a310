# Plan only, with a mocked Google: no project, no credentials, no state.
mock_provider "google" {}

mock_provider "archive" {}

mock_provider "random" {}

variables {
  project       = "my-project-123456"
  regions       = ["europe-west1", "us-central1"]
  access_tokens = ["0123456789abcdef0123456789abcdef"]
}

run "the_function_streams_long_and_serves_many_with_one_cpu" {
  command = plan

  assert {
    condition = alltrue([for f in google_cloud_run_v2_service.this :
      f.template[0].timeout == "3600s" && f.template[0].max_instance_request_concurrency == 80 && f.template[0].scaling[0].max_instance_count == 5 &&
      f.template[0].scaling[0].min_instance_count == 0 && f.template[0].containers[0].resources[0].limits.cpu == "1" && f.template[0].containers[0].resources[0].cpu_idle
    ])
    error_message = "The function must be as docs/platforms/gcf.md requires, and cost nothing while idle."
  }
  assert {
    condition = alltrue([for region, f in google_cloud_run_v2_service.this :
      f.location == region && one([for e in f.template[0].containers[0].env : e.value if e.name == "RELAY_REGION"]) == region
    ])
    error_message = "Each function must be in its region, and know it."
  }
  assert {
    condition     = alltrue([for f in google_cloud_run_v2_service.this : f.ingress == "INGRESS_TRAFFIC_ALL" && !f.default_uri_disabled && !f.deletion_protection])
    error_message = "Its own URL must call it, and destroy must delete it."
  }
}

run "the_relay_itself_says_whether_it_lives" {
  command = plan

  assert {
    condition = alltrue([for f in google_cloud_run_v2_service.this :
      f.template[0].containers[0].startup_probe[0].http_get[0].path == "/relay/health" && f.template[0].containers[0].liveness_probe[0].http_get[0].path == "/relay/health" &&
      length(f.template[0].containers[0].readiness_probe) == 0
    ])
    error_message = "Probes must call the relay, and not OpenAI."
  }
}

run "what_is_built_is_the_source_that_came_with_the_module" {
  command = plan

  assert {
    condition     = contains(keys(local.archive_files), "function.go") && contains(keys(local.archive_files), "core/relay.go") && contains(keys(local.archive_files), "go.sum") && contains(keys(local.archive_files), "core/page/document.html")
    error_message = "The function must be at the archive's root, and core next to it."
  }
  assert {
    condition     = alltrue([for name in keys(local.archive_files) : can(regex("^(core/)?[a-z0-9_/.-]+\\.(go|css|html|mjs)$|^go\\.(mod|sum)$", name)) && !endswith(name, "_test.go") && !startswith(name, "cmd/") && !startswith(name, "source/")])
    error_message = "No variables, state, keys or tests may be uploaded."
  }
  assert {
    condition     = google_storage_bucket_object.source[0].name == "gcf-${local.source_hash}.zip" && endswith(local.image, "/relay:${local.source_hash}") && terraform_data.build[0].triggers_replace[0] == local.image
    error_message = "The image must be named after its source, or new source would not be built."
  }
  assert {
    condition = alltrue([for f in google_cloud_run_v2_service.this :
      f.build_config[0].function_target == "Relay" && f.build_config[0].image_uri == local.image && f.template[0].containers[0].image == "us-docker.pkg.dev/my-project-123456/relay/relay:${local.source_hash}"
    ])
    error_message = "All regions must run the same image."
  }
  assert {
    condition     = google_storage_bucket.source[0].public_access_prevention == "enforced" && google_storage_bucket.source[0].location == "US" && google_artifact_registry_repository.this[0].location == "us"
    error_message = "The bucket must be private, and neither must depend on the regions."
  }
}

run "another_region_of_the_source_is_another_bucket" {
  command = plan

  variables {
    source_location = "europe-west1"
  }

  assert {
    condition     = google_storage_bucket.source[0].location == "europe-west1" && !endswith(google_storage_bucket.source[0].name, substr(sha256("US "), 0, 8)) && startswith(local.image, "europe-west1-docker.pkg.dev/")
    error_message = "Buckets cannot move: another location must mean another name."
  }
}

run "a_zip_of_a_release_is_built_in_its_place" {
  command = plan

  variables {
    package_path = "versions.tf" # any file, for a plan
  }

  assert {
    condition     = google_storage_bucket_object.source[0].source == "versions.tf" && google_storage_bucket_object.source[0].name == "gcf-${substr(filesha256("versions.tf"), 0, 16)}.zip" && length(data.archive_file.source) == 0
    error_message = "The zip must be uploaded, named after its content."
  }
}

run "an_image_of_ones_own_is_run_as_it_is" {
  command = plan

  variables {
    image = "europe-docker.pkg.dev/my-project/relay/relay:v1"
  }

  assert {
    condition = length(google_storage_bucket.source) == 0 && length(terraform_data.build) == 0 && length(google_artifact_registry_repository.this) == 0 && alltrue([for f in google_cloud_run_v2_service.this :
      f.template[0].containers[0].image == "europe-docker.pkg.dev/my-project/relay/relay:v1" && length(f.build_config) == 0
    ])
    error_message = "Nothing must be packed, uploaded or built."
  }
  assert {
    condition     = keys(google_project_service.this) == ["iam", "run"]
    error_message = "No more APIs than are needed."
  }
}

run "the_function_is_open_to_all" {
  command = plan

  assert {
    condition     = alltrue([for m in google_cloud_run_v2_service_iam_member.public : m.role == "roles/run.invoker" && m.member == "allUsers" && m.name == "relay"])
    error_message = "Without allUsers, Google responds to every request with 403."
  }
  assert {
    condition     = keys(google_cloud_run_v2_service_iam_member.public) == ["europe-west1", "us-central1"] && alltrue([for f in google_cloud_run_v2_service.this : !f.invoker_iam_disabled])
    error_message = "Each region must have it."
  }
}

run "where_all_users_is_forbidden_the_check_is_off" {
  command = plan

  variables {
    public_invoker = false
  }

  assert {
    condition     = length(google_cloud_run_v2_service_iam_member.public) == 0 && alltrue([for f in google_cloud_run_v2_service.this : f.invoker_iam_disabled])
    error_message = "With domain restricted sharing, allUsers must not be used."
  }
}

run "keys_of_ones_own_encrypt_all_that_is_kept" {
  command = plan

  variables {
    kms_keys = {
      europe-west1 = "projects/p/locations/europe-west1/keyRings/r/cryptoKeys/k"
      us           = "projects/p/locations/us/keyRings/r/cryptoKeys/k"
      us-central1  = "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k"
    }
  }

  assert {
    condition     = alltrue([for region, f in google_cloud_run_v2_service.this : f.template[0].encryption_key == "projects/p/locations/${region}/keyRings/r/cryptoKeys/k"])
    error_message = "Each region must use its own key."
  }
  assert {
    condition     = google_storage_bucket.source[0].encryption[0].default_kms_key_name == "projects/p/locations/us/keyRings/r/cryptoKeys/k" && google_artifact_registry_repository.this[0].kms_key_name == "projects/p/locations/us/keyRings/r/cryptoKeys/k"
    error_message = "The source and the image must be encrypted too."
  }
}

run "instances_that_wait_are_there_if_asked_for" {
  command = plan

  variables {
    min_instances = 2
  }

  assert {
    condition     = alltrue([for f in google_cloud_run_v2_service.this : f.template[0].scaling[0].min_instance_count == 2])
    error_message = "The keys must be set."
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
    condition = alltrue([for f in google_cloud_run_v2_service.this :
      contains([for e in f.template[0].containers[0].env : "${e.name}=${e.value == null ? "" : e.value}"], "RELAY_ACCESS_TOKENS=sha256:${sha256("0123456789abcdef0123456789abcdef")}") &&
      alltrue([for e in f.template[0].containers[0].env : !strcontains(e.value == null ? "" : e.value, "0123456789abcdef0123456789abcdef")])
    ])
    error_message = "The function must get hashes only."
  }
}

run "a_secret_comes_from_secret_manager" {
  command = plan

  variables {
    api_key_secret = "openai-key"
  }

  assert {
    condition = alltrue([for f in google_cloud_run_v2_service.this :
      [for e in f.template[0].containers[0].env : e.value_source[0].secret_key_ref[0] if e.name == "RELAY_API_KEY"] == [{ secret = "openai-key", version = "latest" }]
    ])
    error_message = "The key must come from Secret Manager."
  }
  assert {
    condition     = google_secret_manager_secret_iam_member.api_key[0].role == "roles/secretmanager.secretAccessor" && google_secret_manager_secret_iam_member.api_key[0].secret_id == "openai-key"
    error_message = "The account must be allowed to read that one secret."
  }
  assert {
    condition     = contains(keys(google_project_service.this), "secretmanager")
    error_message = "The API must be enabled."
  }
}

run "the_apis_it_needs_are_on_and_stay_on" {
  command = plan

  assert {
    condition     = keys(google_project_service.this) == ["artifactregistry", "cloudbuild", "iam", "run"]
    error_message = "Exactly the APIs that a function needs."
  }
  assert {
    condition     = alltrue([for s in google_project_service.this : s.disable_on_destroy == false])
    error_message = "Destroying a relay must not disable APIs that others use."
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
    condition = alltrue([for f in google_cloud_run_v2_service.this :
      length(setsubtract([
        "RELAY_MAX_STREAM_TIME=10m", "RELAY_UPSTREAMS=https://api.openai.com,https://rt_abc@other.example#other",
        "RELAY_ALLOWED_ORIGINS=https://chat.example,http://localhost:3000",
      ], [for e in f.template[0].containers[0].env : "${e.name}=${e.value}"])) == 0
    ])
    error_message = "The function must get the configured settings."
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
    error_message = "There must be no alerts by default."
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
    error_message = "The alert must fire a minute before the timeout."
  }
  assert {
    condition     = strcontains(google_monitoring_alert_policy.this["instances"].conditions[0].condition_threshold[0].filter, "metric.labels.state = \"active\"") && google_monitoring_alert_policy.this["instances"].conditions[0].condition_threshold[0].aggregations[0].per_series_aligner == "ALIGN_MEAN"
    error_message = "An instance must count once, though it has a series as idle, and one for each revision."
  }
}

run "without_a_domain_there_is_no_load_balancer" {
  command = plan

  assert {
    condition     = length(google_compute_backend_service.this) == 0 && length(google_compute_global_forwarding_rule.this) == 0 && length(output.dns_records) == 0
    error_message = "There must be no load balancer by default: it costs money while idle."
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
    error_message = "Failing regions must be ejected."
  }
  assert {
    condition     = google_compute_global_forwarding_rule.this[0].port_range == "443" && google_compute_managed_ssl_certificate.this[0].managed[0].domains == tolist(["relay.example.com"])
    error_message = "TLS only, with a managed certificate."
  }
  assert {
    condition     = google_compute_ssl_policy.this[0].min_tls_version == "TLS_1_2" && google_compute_ssl_policy.this[0].profile == "MODERN"
    error_message = "Old TLS must be refused."
  }
  assert {
    condition     = length(google_compute_security_policy.this) == 0 && length(google_dns_record_set.this) == 0 && output.dns_records[0].name == "relay.example.com" && output.dns_records[0].type == "A"
    error_message = "Without a zone, the record to set must be an output."
  }
  assert {
    condition     = output.base_urls[0] == "https://relay.example.com/v1" && output.endpoints[0].name == "relay-gcp" && length(output.endpoints) == 3
    error_message = "The custom domain must come first."
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

run "probes_leave_out_a_region_whose_instances_fail_and_keep_one_on" {
  command = plan

  variables {
    domain = { name = "relay.example.com", failover = "probes" }
  }

  assert {
    condition     = alltrue([for f in google_cloud_run_v2_service.this : f.template[0].containers[0].readiness_probe[0].http_get[0].path == "/relay/health" && f.template[0].scaling[0].min_instance_count == 1])
    error_message = "Probes need an instance per region."
  }
  assert {
    condition     = length(google_compute_backend_service.this[0].outlier_detection) == 0
    error_message = "Only one kind of failover must be configured."
  }
}

run "the_domain_may_be_the_one_way_in" {
  command = plan

  variables {
    direct_urls = false
    domain      = { name = "relay.example.com" }
  }

  assert {
    condition     = alltrue([for f in google_cloud_run_v2_service.this : f.ingress == "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER" && f.default_uri_disabled])
    error_message = "The functions' own URLs must be off."
  }
  assert {
    condition     = output.base_urls == ["https://relay.example.com/v1"] && length(output.urls) == 0 && output.endpoints[*].name == ["relay-gcp"]
    error_message = "URLs that are off must not be an output."
  }
}
