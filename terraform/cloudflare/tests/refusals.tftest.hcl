# Errors stop at the plan, with a message that says what to do. What all modules refuse is tested in common.
mock_provider "cloudflare" {}

mock_provider "random" {}

variables {
  account_id            = "0123456789abcdef0123456789abcdef"
  workers_dev_subdomain = "my-account"
}

run "an_account_that_is_no_id_is_refused" {
  command = plan

  variables {
    account_id = "my-account"
  }

  expect_failures = [var.account_id]
}

run "more_tokens_than_a_secret_holds_are_refused" {
  command = plan

  variables {
    access_tokens = [for i in range(70) : "sha256:${sha256(i)}"]
  }

  expect_failures = [cloudflare_workers_script.this]
}

run "a_relay_without_an_address_is_refused" {
  command = plan

  variables {
    workers_dev_subdomain = null
  }

  expect_failures = [var.workers_dev_subdomain]
}

run "a_whole_workers_dev_name_is_refused" {
  command = plan

  variables {
    workers_dev_subdomain = "my-account.workers.dev"
  }

  expect_failures = [var.workers_dev_subdomain]
}

run "a_domain_that_is_a_url_is_refused" {
  command = plan

  variables {
    domain = { name = "https://relay.example.com" }
  }

  expect_failures = [var.domain]
}

run "a_zone_that_the_domain_is_not_in_is_refused" {
  command = plan

  variables {
    domain = { name = "relay.example.com", zone = "ample.com" }
  }

  expect_failures = [var.domain]
}

run "a_file_that_is_missing_is_refused" {
  command = plan

  variables {
    file = "dist/no-worker.js"
  }

  expect_failures = [var.file]
}

run "a_name_that_cloudflare_would_refuse_is_refused" {
  command = plan

  variables {
    name = "Relay!"
  }

  expect_failures = [var.name]
}

run "a_policy_without_probes_is_refused" {
  command = plan

  variables {
    settings = { RELAY_POLICY = "latency" }
  }

  expect_failures = [var.settings]
}

run "a_version_of_http_is_refused" {
  command = plan

  variables {
    settings = { RELAY_UPSTREAM_HTTP = "1.1" }
  }

  expect_failures = [var.settings]
}

run "resuming_is_refused" {
  command = plan

  variables {
    settings = { RELAY_RESUME_RESPONSES = "true" }
  }

  expect_failures = [var.settings]
}

run "usage_is_refused" {
  command = plan

  variables {
    settings = { RELAY_LOG_USAGE = "true" }
  }

  expect_failures = [var.settings]
}

run "plain_http_to_private_networks_is_refused" {
  command = plan

  variables {
    settings = { RELAY_ALLOW_PRIVATE_HTTP = "true" }
  }

  expect_failures = [var.settings]
}

run "a_timeout_of_the_edge_is_refused" {
  command = plan

  variables {
    settings = { RELAY_WRITE_TIMEOUT = "30s" }
  }

  expect_failures = [var.settings]
}

run "a_limit_of_requests_in_flight_is_refused" {
  command = plan

  variables {
    settings = { RELAY_MAX_IN_FLIGHT = "100" }
  }

  expect_failures = [var.settings]
}
