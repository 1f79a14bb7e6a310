# Errors stop at the plan, with a message that says what to do.
mock_provider "aws" {}

mock_provider "random" {}

variables {
  package = { path = "versions.tf" }
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
    regions = ["us-east-1", "eu-west-3", "us-east-1"]
  }

  expect_failures = [var.regions]
}

run "a_region_that_openai_refuses_is_refused" {
  command = plan

  variables {
    regions = ["us-east-1", "ap-east-1"]
  }

  expect_failures = [var.regions]
}

run "mainland_china_is_refused" {
  command = plan

  variables {
    regions = ["cn-north-1"]
  }

  expect_failures = [var.regions]
}

run "a_region_without_function_urls_is_refused" {
  command = plan

  variables {
    regions = ["il-central-1"]
  }

  expect_failures = [var.regions]
}

run "a_region_that_there_is_not_is_refused" {
  command = plan

  variables {
    regions = ["us-central1"]
  }

  expect_failures = [var.regions]
}

run "a_zip_that_is_not_there_is_refused" {
  command = plan

  variables {
    package = { path = "dist/missing.zip" }
  }

  expect_failures = [var.package]
}

run "two_api_keys_are_refused" {
  command = plan

  variables {
    api_key        = "sk-test"
    api_key_secret = "relay/openai"
  }

  expect_failures = [var.api_key_secret]
}

run "a_secrets_arn_is_refused" {
  command = plan

  variables {
    api_key_secret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:relay"
  }

  expect_failures = [var.api_key_secret]
}

run "a_region_without_a_known_extension_is_refused" {
  command = plan

  variables {
    allow_any_region = true
    regions          = ["us-east-9"]
    api_key_secret   = "relay/openai"
  }

  expect_failures = [var.secrets_extension_arns]
}

run "a_budget_that_nobody_is_told_of_is_refused" {
  command = plan

  variables {
    monthly_budget = 5
  }

  expect_failures = [var.monthly_budget]
}

run "a_retention_that_cloudwatch_has_not_is_refused" {
  command = plan

  variables {
    log_retention_days = 10
  }

  expect_failures = [var.log_retention_days]
}

run "less_than_no_instances_are_refused" {
  command = plan

  variables {
    max_instances = -1
  }

  expect_failures = [var.max_instances]
}

run "a_name_that_aws_would_refuse_is_refused" {
  command = plan

  variables {
    name = "Relay!"
  }

  expect_failures = [var.name]
}

run "a_mail_address_that_is_none_is_refused" {
  command = plan

  variables {
    alarm_email = "ops"
  }

  expect_failures = [var.alarm_email]
}

run "who_knows_better_may_have_any_region" {
  command = plan

  variables {
    allow_any_region = true
    regions          = ["ap-east-1", "il-central-1", "us-east-9"]
  }

  assert {
    condition     = length(aws_lambda_function.this) == 3
    error_message = "allow_any_region must override the refusals."
  }
}

run "a_region_that_is_new_gets_a_warning" {
  command = plan

  variables {
    regions = ["us-east-9"]
  }

  expect_failures = [check.regions]
}

run "a_download_without_a_checksum_is_refused" {
  command = plan

  variables {
    package = { url = "https://relay.example/lambda-arm64.zip" }
  }

  expect_failures = [var.package]
}

run "a_checksum_that_is_none_is_refused" {
  command = plan

  variables {
    package = { url = "https://relay.example/lambda-arm64.zip", sha256 = "abc" }
  }

  expect_failures = [var.package]
}

run "two_places_of_the_zip_are_refused" {
  command = plan

  variables {
    package = { path = "versions.tf", url = "https://relay.example/lambda-arm64.zip", sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }
  }

  expect_failures = [var.package]
}

run "a_bucket_without_a_key_is_refused" {
  command = plan

  variables {
    package = { s3_bucket = "zips" }
  }

  expect_failures = [var.package]
}

run "a_zip_for_another_processor_is_refused" {
  command = plan

  variables {
    package = { url = "https://relay.example/lambda-amd64.zip", sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }
  }

  expect_failures = [var.package]
}

run "and_so_is_it_the_other_way_round" {
  command = plan

  variables {
    architecture = "x86_64"
    package      = { s3_bucket = "zips", s3_key = "v1/lambda-arm64.zip" }
  }

  expect_failures = [var.package]
}

run "an_architecture_that_there_is_not_is_refused" {
  command = plan

  variables {
    architecture = "amd64"
  }

  expect_failures = [var.architecture]
}

run "a_key_for_one_of_two_regions_is_refused" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/mrk-1"
    regions     = ["us-east-1", "eu-west-3"]
  }

  expect_failures = [var.kms_key_arn]
}

run "an_alias_of_a_key_is_refused" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:us-east-1:123456789012:alias/relay"
  }

  expect_failures = [var.kms_key_arn]
}

run "a_region_without_its_subnets_is_refused" {
  command = plan

  variables {
    regions = ["us-east-1", "eu-west-3"]
    vpc     = { us-east-1 = { subnet_ids = ["subnet-a"], security_group_ids = ["sg-a"] } }
  }

  expect_failures = [var.vpc]
}

run "a_network_without_subnets_is_refused" {
  command = plan

  variables {
    vpc = { us-east-1 = { subnet_ids = [], security_group_ids = ["sg-a"] } }
  }

  expect_failures = [var.vpc]
}

run "more_time_than_aws_gives_is_refused" {
  command = plan

  variables {
    timeout = 901
  }

  expect_failures = [var.timeout]
}

run "less_memory_than_aws_has_is_refused" {
  command = plan

  variables {
    memory = 64
  }

  expect_failures = [var.memory]
}

run "a_role_that_is_none_is_refused" {
  command = plan

  variables {
    role_arn = "relay"
  }

  expect_failures = [var.role_arn]
}

run "a_boundary_for_a_role_of_ones_own_is_refused" {
  command = plan

  variables {
    role_arn             = "arn:aws:iam::123456789012:role/relay"
    permissions_boundary = "arn:aws:iam::123456789012:policy/boundary"
  }

  expect_failures = [var.role_arn]
}

run "a_boundary_that_is_none_is_refused" {
  command = plan

  variables {
    permissions_boundary = "boundary"
  }

  expect_failures = [var.permissions_boundary]
}

run "a_topic_of_one_region_is_refused" {
  command = plan

  variables {
    alarm_topic_arn = "arn:aws:sns:us-east-1:123456789012:ops"
  }

  expect_failures = [var.alarm_topic_arn]
}

run "a_mail_and_a_topic_are_refused" {
  command = plan

  variables {
    alarm_email     = "ops@example.com"
    alarm_topic_arn = "arn:aws:sns:{region}:123456789012:ops"
  }

  expect_failures = [var.alarm_topic_arn]
}

run "a_certificate_that_is_none_is_refused" {
  command = plan

  variables {
    domain = { name = "relay.example.com", zone_id = "Z0123", certificate_arns = { us-east-1 = "b" } }
  }

  expect_failures = [var.domain]
}
