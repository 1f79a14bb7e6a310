# What is wrong stops at the plan, with a sentence that says what to do.
mock_provider "vercel" {}

mock_provider "random" {}

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
    regions = ["iad1", "iad1"]
  }

  expect_failures = [var.regions]
}

run "a_region_that_openai_refuses_is_refused" {
  command = plan

  variables {
    regions = ["iad1", "hkg1"]
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

run "a_folder_without_the_source_is_refused" {
  command = plan

  variables {
    source_path = "tests"
  }

  expect_failures = [var.source_path]
}

run "a_weak_token_is_refused" {
  command = plan

  variables {
    access_tokens = ["hunter2"]
  }

  expect_failures = [var.access_tokens]
}

run "an_unknown_setting_is_refused" {
  command = plan

  variables {
    settings = { RELAY_NONSENSE = "1" }
  }

  expect_failures = [var.settings]
}

run "a_setting_that_has_a_variable_is_refused" {
  command = plan

  variables {
    settings = { RELAY_NAME = "other" }
  }

  expect_failures = [var.settings]
}

run "a_plain_http_upstream_is_refused" {
  command = plan

  variables {
    upstreams = ["http://api.example"]
  }

  expect_failures = [var.upstreams]
}

run "an_origin_with_a_path_is_refused" {
  command = plan

  variables {
    allowed_origins = ["https://chat.example/path"]
  }

  expect_failures = [var.allowed_origins]
}

run "an_api_key_with_a_space_is_refused" {
  command = plan

  variables {
    api_key = "sk test"
  }

  expect_failures = [var.api_key]
}

run "a_domain_that_is_a_url_is_refused" {
  command = plan

  variables {
    domain = { name = "https://relay.example.com" }
  }

  expect_failures = [var.domain]
}

run "a_name_that_vercel_would_refuse_is_refused" {
  command = plan

  variables {
    name = "Relay!"
  }

  expect_failures = [var.name]
}

run "a_timeout_that_no_plan_has_is_refused" {
  command = plan

  variables {
    timeout = 900
  }

  expect_failures = [var.timeout]
}

run "a_region_that_is_new_gets_a_warning" {
  command = plan

  variables {
    regions = ["zrh1"]
  }

  expect_failures = [check.regions]
}
