# What all modules share. Errors stop at the plan, with a message that says what to do.
mock_provider "random" {}

variables {
  access_tokens    = ["0123456789abcdef0123456789abcdef", "sha256:00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"]
  allowed_origins  = ["*"]
  holds_key        = false
  managed_settings = { RELAY_UPSTREAMS = "use the variable upstreams" }
  name             = "relay"
  settings         = {}
  tokens           = {}
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

run "named_tokens_are_made_and_only_their_hashes_reach_the_function" {
  command = apply

  variables {
    access_tokens = ["sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"]
    tokens = {
      alice         = { expires = "2027-01-31T00:00:00Z", paths = ["/v1/responses", "/v1/models/"], methods = ["GET", "POST"], models = ["gpt-5-mini", "ft:gpt-5*"], max_in_flight = 4, per_minute = 60 }
      "b@b.example" = { sha256 = "sha256:FFEEDDCCBBAA99887766554433221100FFEEDDCCBBAA99887766554433221100" }
      ci            = {}
    }
  }

  assert {
    condition = jsondecode(output.environment.RELAY_ACCESS_TOKENS) == [
      "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
      { name = "alice", sha256 = sha256(output.tokens.alice), expires = "2027-01-31T00:00:00Z", paths = ["/v1/responses", "/v1/models/"], methods = ["GET", "POST"], models = ["gpt-5-mini", "ft:gpt-5*"], max_in_flight = 4, per_minute = 60 },
      { name = "b@b.example", sha256 = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100" },
      { name = "ci", sha256 = sha256(output.tokens.ci) },
    ]
    error_message = "Each name must have its entry, with what is set."
  }
  assert {
    condition     = join(",", keys(output.tokens)) == "alice,ci" && alltrue([for token in values(output.tokens) : length(token) > 0 && !strcontains(output.environment.RELAY_ACCESS_TOKENS, token)])
    error_message = "A token must be made for each name without a hash, and must not be in the environment."
  }
}

run "another_name_leaves_the_others_alone" {
  command = apply

  variables {
    access_tokens = ["sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"]
    tokens        = { alice = { per_minute = 1 }, dave = {} }
  }

  assert {
    condition     = output.tokens.alice == run.named_tokens_are_made_and_only_their_hashes_reach_the_function.tokens.alice && output.tokens.dave != output.tokens.alice
    error_message = "A token must stay while its name does."
  }
}

run "a_token_of_one_s_own_remains_beside_named_ones" {
  command = plan

  variables {
    access_tokens = []
    tokens        = { alice = {} }
  }

  assert {
    condition     = length(random_bytes.token) == 1
    error_message = "The operator's own token, which the gateway's file has, must stay when the first named one is added."
  }
}

run "a_name_that_no_log_takes_is_refused" {
  command = plan

  variables {
    tokens = { "a b" = {} }
  }

  expect_failures = [var.tokens]
}

run "an_end_that_is_no_time_is_refused" {
  command = plan

  variables {
    tokens = { alice = { expires = "2027-01-31" } }
  }

  expect_failures = [var.tokens]
}

run "an_end_that_is_no_day_is_refused" {
  command = plan

  variables {
    tokens = { alice = { expires = "2027-02-30T00:00:00Z" } }
  }

  expect_failures = [var.tokens]
}

run "a_path_that_is_not_relayed_is_refused" {
  command = plan

  variables {
    tokens = { alice = { paths = ["/v2/models"] } }
  }

  expect_failures = [var.tokens]
}

run "a_path_with_dots_is_refused" {
  command = plan

  variables {
    tokens = { alice = { paths = ["/v1/../x"] } }
  }

  expect_failures = [var.tokens]
}

run "an_empty_list_of_paths_is_refused" {
  command = plan

  variables {
    tokens = { alice = { paths = [] } }
  }

  expect_failures = [var.tokens]
}

run "an_empty_list_of_methods_is_refused" {
  command = plan

  variables {
    tokens = { alice = { methods = [] } }
  }

  expect_failures = [var.tokens]
}

run "an_empty_list_of_models_is_refused" {
  command = plan

  variables {
    tokens = { alice = { models = [] } }
  }

  expect_failures = [var.tokens]
}

run "a_wildcard_alone_is_refused" {
  command = plan

  variables {
    tokens = { alice = { models = ["*"] } }
  }

  expect_failures = [var.tokens]
}

run "a_wildcard_in_the_middle_is_refused" {
  command = plan

  variables {
    tokens = { alice = { models = ["gpt-*-mini"] } }
  }

  expect_failures = [var.tokens]
}

run "a_method_in_lower_case_is_refused" {
  command = plan

  variables {
    tokens = { alice = { methods = ["get"] } }
  }

  expect_failures = [var.tokens]
}

run "a_limit_of_zero_is_refused" {
  command = plan

  variables {
    tokens = { alice = { per_minute = 0 } }
  }

  expect_failures = [var.tokens]
}

run "a_limit_with_a_fraction_is_refused" {
  command = plan

  variables {
    tokens = { alice = { max_in_flight = 1.5 } }
  }

  expect_failures = [var.tokens]
}

run "a_token_in_place_of_its_hash_is_refused" {
  command = plan

  variables {
    tokens = { alice = { sha256 = "0123456789abcdef0123456789abcdef" } }
  }

  expect_failures = [var.tokens]
}

run "a_hash_of_two_names_is_refused" {
  command = plan

  variables {
    tokens = { alice = { sha256 = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100" }, bob = { sha256 = "sha256:FFEEDDCCBBAA99887766554433221100FFEEDDCCBBAA99887766554433221100" } }
  }

  expect_failures = [var.tokens]
}

run "an_upstreams_key_is_in_the_list_that_the_function_gets" {
  command = apply

  variables {
    access_tokens     = ["sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"]
    tokens            = { alice = { upstreams = ["azure", "api.openai.com"] } }
    upstream_api_keys = { azure = "az-\"key\"=", "api.openai.com" = "sk-test", "other.example:8443/a" = "sk-other" }
    upstreams         = ["https://api.openai.com/v1/", "https://NAME.openai.azure.com/openai/v1#azure", "https://other.example:8443/a/v1"]
  }

  assert {
    condition = jsondecode(output.environment.RELAY_UPSTREAMS) == [
      { url = "https://api.openai.com/v1/", api_key = "sk-test" },
      { url = "https://NAME.openai.azure.com/openai/v1#azure", api_key = "az-\"key\"=" },
      { url = "https://other.example:8443/a/v1", api_key = "sk-other" },
    ]
    error_message = "Each upstream must have its key."
  }
  assert {
    condition     = jsondecode(output.environment.RELAY_ACCESS_TOKENS)[1].upstreams == ["azure", "api.openai.com"] && output.key_in_shell == "rt_$ACCESS_TOKEN"
    error_message = "A token must have its upstreams, and clients must need no key."
  }
}

run "a_relay_among_the_upstreams_needs_no_key" {
  command = plan

  variables {
    upstream_api_keys = { azure = "az-key" }
    upstreams         = ["https://rt_0123456789abcdef@relay.example", "https://NAME.openai.azure.com/openai/v1#azure"]
  }

  assert {
    condition     = jsondecode(output.environment.RELAY_UPSTREAMS)[0] == { url = "https://rt_0123456789abcdef@relay.example" } && endswith(output.key_in_shell, ".$OPENAI_API_KEY")
    error_message = "An upstream without a key must have none, and clients may send theirs."
  }
}

run "the_relays_key_is_for_upstreams_without_one" {
  command = plan

  variables {
    api_key           = "sk-test"
    upstream_api_keys = { azure = "az-key" }
    upstreams         = ["https://api.openai.com", "https://NAME.openai.azure.com/openai/v1#azure"]
  }
}

run "an_upstream_that_would_get_no_key_is_refused" {
  command = plan

  variables {
    upstream_api_keys = { azure = "az-key" }
    upstreams         = ["https://api.openai.com", "https://NAME.openai.azure.com/openai/v1#azure"]
  }

  expect_failures = [var.upstream_api_keys]
}

run "a_key_of_no_upstream_is_refused" {
  command = plan

  variables {
    upstream_api_keys = { azure = "az-key" }
  }

  expect_failures = [var.upstream_api_keys]
}

run "an_upstreams_key_with_a_space_is_refused" {
  command = plan

  variables {
    upstream_api_keys = { "api.openai.com" = "sk test" }
  }

  expect_failures = [var.upstream_api_keys]
}

run "a_token_of_no_upstream_is_refused" {
  command = plan

  variables {
    tokens = { alice = { upstreams = ["azure"] } }
  }

  expect_failures = [var.tokens]
}

run "a_token_without_upstreams_is_refused" {
  command = plan

  variables {
    tokens = { alice = { upstreams = [] } }
  }

  expect_failures = [var.tokens]
}
