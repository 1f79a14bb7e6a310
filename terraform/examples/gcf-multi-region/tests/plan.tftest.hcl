mock_provider "archive" {}

mock_provider "google" {}

mock_provider "random" {}

variables {
  project = "my-project-123456"
}

run "two_regions_are_planned_in_order" {
  command = plan

  assert {
    condition     = [for e in output.endpoints : e.name] == ["relay-gcp-us-central1", "relay-gcp-europe-west1"]
    error_message = "Two regions, in the order given."
  }
}

run "a_domain_is_planned_too" {
  command = plan

  variables {
    domain = { name = "relay.example.com" }
  }

  assert {
    condition     = output.base_urls[0] == "https://relay.example.com/v1" && output.dns_records[0].type == "A"
    error_message = "The domain must come first, and its record must be an output."
  }
}
