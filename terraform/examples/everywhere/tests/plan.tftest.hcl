mock_provider "archive" {}

mock_provider "aws" {}

mock_provider "google" {}

mock_provider "random" {
  # OpenTofu makes values up at plan time already, and too short ones.
  mock_resource "random_bytes" {
    defaults = { hex = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff" }
  }
}

mock_provider "vercel" {}

variables {
  project = "my-project-123456"
}

run "three_clouds_are_planned_behind_one_token" {
  command = plan

  assert {
    condition     = [for e in output.endpoints : e.name] == ["relay-aws-us-east-1", "relay-aws-eu-west-3", "relay-gcp-us-central1", "relay-gcp-europe-west1", "relay-vercel-iad1"]
    error_message = "endpoints must list every region of every cloud, in order."
  }
  assert {
    condition     = length(output.base_urls) == 5 && length(output.try) == 3
    error_message = "Every region must have a base URL."
  }
}
