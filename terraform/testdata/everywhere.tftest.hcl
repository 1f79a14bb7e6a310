# A plan, and an apply of made-up clouds, whose output endpoints is what the gateway reads.
mock_provider "aws" {}

mock_provider "google" {}

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

override_resource {
  target = module.aws.aws_lambda_function_url.this["us-east-1"]
  values = { function_url = "https://aaaaaaaaaa.lambda-url.us-east-1.on.aws/" }
}

override_resource {
  target = module.aws.aws_lambda_function_url.this["eu-west-3"]
  values = { function_url = "https://bbbbbbbbbb.lambda-url.eu-west-3.on.aws/" }
}

override_resource {
  target = module.gcp.google_cloudfunctions2_function.this["us-central1"]
  values = { service_config = { uri = "https://relay-aaaaaaaaaa-uc.a.run.app" } }
}

override_resource {
  target = module.gcp.google_cloudfunctions2_function.this["europe-west1"]
  values = { service_config = { uri = "https://relay-aaaaaaaaaa-ew.a.run.app" } }
}

variables {
  project = "my-project-123456"
}

run "a_plan" {
  command = plan
}

run "an_apply" {
  command = apply
}
