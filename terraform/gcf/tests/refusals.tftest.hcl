# Errors stop at the plan, with a message that says what to do.
mock_provider "google" {}

mock_provider "archive" {}

mock_provider "random" {}

variables {
  project = "my-project-123456"
}

run "no_region_is_refused" {
  command = plan

  variables {
    regions = []
  }

  expect_failures = [var.regions]
}

run "a_region_twice_is_refused" {
  command = plan

  variables {
    regions = ["us-central1", "us-central1"]
  }

  expect_failures = [var.regions]
}

run "a_region_that_openai_refuses_is_refused" {
  command = plan

  variables {
    regions = ["us-central1", "asia-east2"]
  }

  expect_failures = [var.regions]
}

run "a_region_that_there_is_not_is_refused" {
  command = plan

  variables {
    regions = ["us-east-1"]
  }

  expect_failures = [var.regions]
}

run "a_zip_that_is_not_there_is_refused" {
  command = plan

  variables {
    package_path = "dist/missing.zip"
  }

  expect_failures = [var.package_path]
}

run "two_api_keys_are_refused" {
  command = plan

  variables {
    api_key        = "sk-test"
    api_key_secret = "openai-key"
  }

  expect_failures = [var.api_key_secret]
}

run "a_secrets_path_is_refused" {
  command = plan

  variables {
    api_key_secret = "projects/p/secrets/openai-key"
  }

  expect_failures = [var.api_key_secret]
}

run "a_budget_that_nobody_is_told_of_is_refused" {
  command = plan

  variables {
    monthly_budget = 5
  }

  expect_failures = [var.monthly_budget]
}

run "few_requests_per_instance_are_refused" {
  command = plan

  variables {
    max_concurrency = 1
  }

  expect_failures = [var.max_concurrency]
}

run "no_instances_are_refused" {
  command = plan

  variables {
    max_instances = 0
  }

  expect_failures = [var.max_instances]
}

run "a_project_name_is_refused" {
  command = plan

  variables {
    project = "My Project"
  }

  expect_failures = [var.project]
}

run "a_domain_that_is_a_url_is_refused" {
  command = plan

  variables {
    domain = { name = "https://relay.example.com" }
  }

  expect_failures = [var.domain]
}

run "a_name_that_google_would_refuse_is_refused" {
  command = plan

  variables {
    name = "Relay!"
  }

  expect_failures = [var.name]
}

run "a_mail_address_alone_for_the_builder_is_refused" {
  command = plan

  variables {
    build_service_account = "builder@my-project.iam.gserviceaccount.com"
  }

  expect_failures = [var.build_service_account]
}

run "who_knows_better_may_have_any_region" {
  command = plan

  variables {
    allow_any_region = true
    regions          = ["asia-east2", "us-moon1"]
  }

  assert {
    condition     = length(google_cloud_run_v2_service.this) == 2
    error_message = "allow_any_region must override the refusals."
  }
}

run "a_region_that_is_new_gets_a_warning" {
  command = plan

  variables {
    regions = ["us-moon1"]
  }

  expect_failures = [check.regions]
}

run "no_way_in_is_refused" {
  command = plan

  variables {
    direct_urls = false
  }

  expect_failures = [var.direct_urls]
}

run "a_failover_that_there_is_not_is_refused" {
  command = plan

  variables {
    domain = { name = "relay.example.com", failover = "hope" }
  }

  expect_failures = [var.domain]
}

run "half_a_request_is_refused" {
  command = plan

  variables {
    domain = { name = "relay.example.com", requests_per_minute = 1.5 }
  }

  expect_failures = [var.domain]
}

run "an_image_that_is_a_url_is_refused" {
  command = plan

  variables {
    image = "https://us-docker.pkg.dev/my-project/relay/relay:v1"
  }

  expect_failures = [var.image]
}

run "a_key_that_is_missing_in_a_region_is_refused" {
  command = plan

  variables {
    kms_keys = { us-central1 = "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k" }
  }

  expect_failures = [var.kms_keys]
}

run "a_key_that_is_none_is_refused" {
  command = plan

  variables {
    kms_keys = { us-central1 = "k", us = "k" }
  }

  expect_failures = [var.kms_keys]
}

run "more_that_wait_than_there_may_be_are_refused" {
  command = plan

  variables {
    min_instances = 6
  }

  expect_failures = [var.min_instances]
}

run "a_place_for_the_source_that_is_none_is_refused" {
  command = plan

  variables {
    source_location = "Belgium"
  }

  expect_failures = [var.source_location]
}
