mock_provider "archive" {}

mock_provider "aws" {}

mock_provider "cloudflare" {}

mock_provider "google" {}

mock_provider "random" {
  # OpenTofu mocks values at plan time already, and too short ones.
  mock_resource "random_bytes" {
    defaults = { hex = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff" }
  }
}

mock_provider "vercel" {}

variables {
  account_id            = "0123456789abcdef0123456789abcdef"
  project               = "my-project-123456"
  workers_dev_subdomain = "my-account"
}

run "four_clouds_are_planned_behind_one_token" {
  command = plan

  assert {
    condition     = [for e in output.endpoints : e.name] == ["relay-aws-us-east-1", "relay-aws-eu-west-3", "relay-gcp-us-central1", "relay-gcp-europe-west1", "relay-vercel-iad1", "relay-cloudflare-workers-dev"]
    error_message = "endpoints must list every region of every cloud, in order."
  }
  assert {
    condition     = length(output.base_urls) == 6 && length(output.try) == 4
    error_message = "Every region must have a base URL."
  }
}
