mock_provider "archive" {}

mock_provider "google" {}

mock_provider "random" {}

variables {
  access_tokens   = ["0123456789abcdef0123456789abcdef", "sha256:00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"]
  allowed_origins = ["https://chat.example", "http://localhost:3000"]
  api_key         = "sk-test"
  name            = "relay-2"
  settings        = { RELAY_MAX_STREAM_TIME = "10m", RELAY_PATHS = "/v1/", RELAY_LOG_LEVEL = "debug" }
  project         = "my-project-123456"
}

run "a_function_with_everything_set" {
  command = plan
}
