mock_provider "aws" {
  # OpenTofu mocks values at plan time already.
  mock_resource "aws_acm_certificate" {
    defaults = {
      domain_validation_options = [{ domain_name = "relay.example.com", resource_record_name = "_a.relay.example.com", resource_record_type = "CNAME", resource_record_value = "_b.example" }]
    }
  }
}

mock_provider "random" {}

run "three_regions_are_planned_in_order" {
  command = plan

  assert {
    condition     = [for e in output.endpoints : e.name] == ["relay-aws-us-east-1", "relay-aws-us-west-2", "relay-aws-eu-west-3"]
    error_message = "Three regions, in the order given."
  }
}

run "a_domain_and_alarms_are_planned_too" {
  command = plan

  variables {
    alarm_email = "ops@example.com"
    domain      = { name = "relay.example.com", zone_id = "Z0123" }
  }

  assert {
    condition     = output.base_urls[0] == "https://relay.example.com/v1" && length(output.base_urls) == 4
    error_message = "The domain must come first."
  }
}
