mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_resource "aws_acm_certificate" {
    defaults = { domain_validation_options = [{ domain_name = "relay.example.com", resource_record_name = "_a.relay.example.com", resource_record_type = "CNAME", resource_record_value = "_b.example" }] }
  }
}

mock_provider "random" {}

variables {
  package     = { path = "versions.tf" }
  alarm_email = "ops@example.com"
  domain      = { name = "relay.example.com", zone_id = "Z0123" }
}

run "two_regions" {
  command = apply

  variables {
    regions = ["us-east-1", "eu-west-3"]
  }
}

run "a_third_region" {
  command = plan

  variables {
    regions = ["us-east-1", "ap-northeast-1", "eu-west-3"]
  }
}

run "the_other_way_round" {
  command = plan

  variables {
    regions = ["eu-west-3", "us-east-1"]
  }
}
