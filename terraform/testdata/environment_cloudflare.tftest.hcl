mock_provider "cloudflare" {}

mock_provider "random" {}

variables {
  account_id            = "0123456789abcdef0123456789abcdef"
  workers_dev_subdomain = "my-account"

  access_tokens   = ["0123456789abcdef0123456789abcdef", "sha256:00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"]
  allowed_origins = ["https://chat.example", "http://localhost:3000"]
  api_key         = "sk-test"
  name            = "relay-2"
  settings        = { RELAY_MAX_STREAM_TIME = "10m", RELAY_PATHS = "/v1/", RELAY_LOG_LEVEL = "debug" }
}

run "a_function_with_everything_set" {
  command = plan
}

run "a_function_whose_upstreams_hold_keys" {
  command = plan

  variables {
    api_key           = null
    tokens            = { alice = { sha256 = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100", upstreams = ["azure"] } }
    upstream_api_keys = { "api.openai.com" = "sk-openai", azure = "az-<&>\"=" }
    upstreams         = ["https://api.openai.com", "https://NAME.openai.azure.com/openai/v1#azure"]
  }
}
