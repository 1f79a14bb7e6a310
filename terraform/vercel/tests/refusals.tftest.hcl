# Errors stop at the plan, with a message that says what to do.
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
