# What all modules share. Errors stop at the plan, with a message that says what to do.
mock_provider "random" {}

variables {
  access_tokens    = ["0123456789abcdef0123456789abcdef", "sha256:00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"]
  allowed_origins  = ["*"]
  holds_key        = false
  managed_settings = { RELAY_UPSTREAMS = "use the variable upstreams" }
  name             = "relay"
  settings         = {}
  upstreams        = ["https://api.openai.com"]
}

run "a_token_is_never_in_plain_text_in_the_environment" {
  command = plan

  assert {
    condition     = output.environment.RELAY_ACCESS_TOKENS == "sha256:${sha256("0123456789abcdef0123456789abcdef")},sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
    error_message = "The function must get hashes only."
  }
  assert {
    condition     = output.access_token == "0123456789abcdef0123456789abcdef" && length(random_bytes.token) == 0
    error_message = "The first plain token must be the output, and none be generated."
  }
}

run "without_tokens_one_of_256_bits_is_made" {
  command = plan

  variables {
    access_tokens = []
  }

  assert {
    condition     = length(random_bytes.token) == 1 && random_bytes.token[0].length == 32
    error_message = "A token of 32 random bytes must be generated: an open relay is found and abused within hours."
  }
}

run "hashes_alone_leave_no_token_in_the_state" {
  command = apply

  variables {
    access_tokens = ["sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"]
  }

  assert {
    condition     = output.access_token == null && length(random_bytes.token) == 0 && output.key_in_shell == "rt_$ACCESS_TOKEN.$OPENAI_API_KEY"
    error_message = "With hashes, the token must not be an output."
  }
}

run "a_relay_that_holds_the_key_wants_the_token_only" {
  command = plan

  variables {
    holds_key = true
  }

  assert {
    condition     = output.key_in_shell == "rt_$(terraform output -raw access_token)"
    error_message = "Clients must not send a key."
  }
}

run "good_values_are_taken" {
  command = plan

  variables {
    allowed_origins = ["https://chat.example", "http://localhost:3000"]
    settings = {
      RELAY_ALLOWED_HOSTS   = "*"
      RELAY_KEEPALIVE       = "15s"
      RELAY_MAX_BODY_BYTES  = "1048576"
      RELAY_MAX_STREAM_TIME = "1h30m"
      RELAY_PATHS           = "/v1/, /dashboard/"
      RELAY_PATH_TOKENS     = "true"
    }
    upstreams = ["https://rt_0123456789abcdef@relay.example:8443/openai#other", "https://api.openai.com/v1"]
  }

  assert {
    condition     = output.environment.RELAY_MAX_STREAM_TIME == "1h30m" && output.environment.RELAY_ALLOWED_ORIGINS == "https://chat.example,http://localhost:3000"
    error_message = "They must reach the function."
  }
}

run "a_weak_token_is_refused" {
  command = plan

  variables {
    access_tokens = ["hunter2"]
  }

  expect_failures = [var.access_tokens]
}

run "a_token_that_cannot_be_sent_is_refused" {
  command = plan

  variables {
    access_tokens = ["0123456789abcdef.0123456789abcdef"]
  }

  expect_failures = [var.access_tokens]
}

run "a_hash_that_is_none_is_refused" {
  command = plan

  variables {
    access_tokens = ["sha256:0123456789abcdef0123456789abcdef"]
  }

  expect_failures = [var.access_tokens]
}

run "an_unknown_setting_is_refused" {
  command = plan

  variables {
    settings = { RELAY_NONSENSE = "1" }
  }

  expect_failures = [var.settings]
}

run "a_setting_that_has_a_variable_is_refused" {
  command = plan

  variables {
    settings = { RELAY_UPSTREAMS = "https://api.example" }
  }

  expect_failures = [var.settings]
}

run "a_plain_http_upstream_is_refused" {
  command = plan

  variables {
    upstreams = ["http://api.example"]
  }

  expect_failures = [var.upstreams]
}

run "no_upstream_is_refused" {
  command = plan

  variables {
    upstreams = []
  }

  expect_failures = [var.upstreams]
}

run "an_origin_with_a_path_is_refused" {
  command = plan

  variables {
    allowed_origins = ["https://chat.example/path"]
  }

  expect_failures = [var.allowed_origins]
}

run "every_origin_and_one_more_is_refused" {
  command = plan

  variables {
    allowed_origins = ["*", "https://chat.example"]
  }

  expect_failures = [var.allowed_origins]
}

run "an_api_key_with_a_line_break_is_refused" {
  command = plan

  variables {
    api_key = "sk-test\n"
  }

  expect_failures = [var.api_key]
}

run "a_time_that_is_none_is_refused" {
  command = plan

  variables {
    settings = { RELAY_MAX_STREAM_TIME = "10 minutes" }
  }

  expect_failures = [var.settings]
}

run "a_size_beyond_all_is_refused" {
  command = plan

  variables {
    settings = { RELAY_MAX_BODY_BYTES = "1099511627777" }
  }

  expect_failures = [var.settings]
}

run "a_path_without_its_slash_is_refused" {
  command = plan

  variables {
    settings = { RELAY_PATHS = "/v1" }
  }

  expect_failures = [var.settings]
}

run "a_path_of_the_relays_own_is_refused" {
  command = plan

  variables {
    settings = { RELAY_PATHS = "/v1/,/relay/" }
  }

  expect_failures = [var.settings]
}

run "an_upstream_with_a_query_is_refused" {
  command = plan

  variables {
    upstreams = ["https://api.example/?x=1"]
  }

  expect_failures = [var.upstreams]
}

run "an_upstream_twice_is_refused" {
  command = plan

  variables {
    upstreams = ["https://api.example", "https://api.example"]
  }

  expect_failures = [var.upstreams]
}
