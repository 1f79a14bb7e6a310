# A plan, and an apply with mocked providers, whose output endpoints is the file for the gateway. (All regions of a cloud have
# the same mocked URL, as OpenTofu cannot distinguish instances here.)
mock_provider "archive" {}

mock_provider "aws" {
  mock_resource "aws_lambda_function_url" {
    defaults = { function_url = "https://abcdefghij.lambda-url.us-east-1.on.aws/" }
  }
}

mock_provider "cloudflare" {}

mock_provider "google" {
  mock_resource "google_cloud_run_v2_service" {
    defaults = { uri = "https://relay-abcdefghij-uc.a.run.app" }
  }
}

mock_provider "random" {
  mock_resource "random_bytes" {
    defaults = { hex = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff" }
  }
}

mock_provider "vercel" {
  mock_resource "vercel_deployment" {
    defaults = { domains = ["relay-git-main-team.vercel.app", "relay.vercel.app", "relay-abcdefghij-team.vercel.app"] }
  }
}

variables {
  account_id            = "0123456789abcdef0123456789abcdef"
  project               = "my-project-123456"
  workers_dev_subdomain = "my-account"
}

run "a_plan" {
  command = plan
}

run "an_apply" {
  command = apply
}
