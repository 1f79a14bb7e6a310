# Plan only, with a mocked Cloudflare: no account, no token, no state.
mock_provider "cloudflare" {}

mock_provider "random" {}

variables {
  account_id            = "0123456789abcdef0123456789abcdef"
  access_tokens         = ["0123456789abcdef0123456789abcdef"]
  workers_dev_subdomain = "my-account"
}

run "the_worker_is_the_file_by_its_hash" {
  command = plan

  assert {
    condition     = cloudflare_workers_script.this.script_name == "relay" && cloudflare_workers_script.this.main_module == "worker.js" && cloudflare_workers_script.this.account_id == "0123456789abcdef0123456789abcdef"
    error_message = "The Worker must be a module, called as the relay is."
  }
  assert {
    condition     = endswith(cloudflare_workers_script.this.content_file, "/cloudflare/worker.js") && cloudflare_workers_script.this.content_sha256 == filesha256("../../cloudflare/worker.js")
    error_message = "A change of the file must be a change of the plan."
  }
  assert {
    condition     = cloudflare_workers_script.this.compatibility_date == "2026-11-01" && cloudflare_workers_script.this.observability.enabled
    error_message = "The Worker must run on the date that it is tested on, and its log must be kept."
  }
}

run "another_file_is_another_worker" {
  command = plan

  variables {
    file = "versions.tf"
  }

  assert {
    condition     = cloudflare_workers_script.this.content_file == "versions.tf" && cloudflare_workers_script.this.content_sha256 == filesha256("versions.tf")
    error_message = "The configured file must be uploaded."
  }
}

run "secrets_are_secrets_and_hold_no_token" {
  command = plan

  variables {
    api_key = "sk-test"
  }

  assert {
    condition     = [for b in cloudflare_workers_script.this.bindings : b.name if b.type == "secret_text"] == ["RELAY_ACCESS_TOKENS", "RELAY_API_KEY", "RELAY_UPSTREAMS"]
    error_message = "Settings that may hold a secret must be secrets."
  }
  assert {
    condition     = alltrue([for b in cloudflare_workers_script.this.bindings : b.type == "secret_text" || b.type == "plain_text"])
    error_message = "Every binding must be text."
  }
  assert {
    condition     = one([for b in cloudflare_workers_script.this.bindings : b.text if b.name == "RELAY_ACCESS_TOKENS"]) == "sha256:${sha256("0123456789abcdef0123456789abcdef")}"
    error_message = "The Worker must get hashes only."
  }
  assert {
    condition     = alltrue([for b in cloudflare_workers_script.this.bindings : !strcontains(b.text, "0123456789abcdef0123456789abcdef")])
    error_message = "No binding may hold a token."
  }
}

run "settings_and_lists_reach_the_worker_in_order" {
  command = plan

  variables {
    allowed_origins = ["https://chat.example", "http://localhost:3000"]
    settings        = { RELAY_MAX_STREAM_TIME = "4m", RELAY_REGION = "us-east-1", RELAY_PROBE_INTERVAL = "off", RELAY_POLICY = "order" }
    upstreams       = ["https://api.openai.com", "https://rt_abc@other.example#other"]
  }

  assert {
    condition = [for b in cloudflare_workers_script.this.bindings : b.name] == [
      "RELAY_ACCESS_TOKENS", "RELAY_ALLOWED_ORIGINS", "RELAY_MAX_STREAM_TIME", "RELAY_NAME", "RELAY_POLICY", "RELAY_PROBE_INTERVAL", "RELAY_REGION", "RELAY_UPSTREAMS",
    ]
    error_message = "Bindings must be sorted, one per setting."
  }
  assert {
    condition = (
      one([for b in cloudflare_workers_script.this.bindings : b.text if b.name == "RELAY_MAX_STREAM_TIME"]) == "4m" &&
      one([for b in cloudflare_workers_script.this.bindings : b.text if b.name == "RELAY_UPSTREAMS"]) == "https://api.openai.com,https://rt_abc@other.example#other" &&
      one([for b in cloudflare_workers_script.this.bindings : b.text if b.name == "RELAY_ALLOWED_ORIGINS"]) == "https://chat.example,http://localhost:3000"
    )
    error_message = "The Worker must get the configured settings."
  }
}

run "as_many_tokens_as_a_secret_holds" {
  command = plan

  variables {
    access_tokens = [for i in range(69) : "sha256:${sha256(i)}"]
  }

  assert {
    condition     = length(one([for b in cloudflare_workers_script.this.bindings : b.text if b.name == "RELAY_ACCESS_TOKENS"])) == 4967
    error_message = "69 tokens must fit."
  }
}

run "workers_dev_is_the_only_address_without_a_domain" {
  command = plan

  assert {
    condition     = cloudflare_workers_script_subdomain.this.enabled && !cloudflare_workers_script_subdomain.this.previews_enabled && length(cloudflare_workers_custom_domain.this) == 0
    error_message = "workers.dev must be on, previews off, and no domain created."
  }
  assert {
    condition     = output.base_urls == ["https://relay.my-account.workers.dev/v1"] && output.urls == { global = "https://relay.my-account.workers.dev" } && [for e in output.endpoints : e.name] == ["relay-cloudflare-workers-dev"]
    error_message = "The outputs must have the workers.dev name."
  }
  assert {
    condition     = output.endpoints[0].token == "0123456789abcdef0123456789abcdef" && output.access_token == "0123456789abcdef0123456789abcdef"
    error_message = "The outputs must have the token."
  }
  assert {
    condition     = output.try == "curl https://relay.my-account.workers.dev/v1/models -H \"Authorization: Bearer rt_$(terraform output -raw access_token).$OPENAI_API_KEY\""
    error_message = "The command must send the token and the key."
  }
}

run "a_domain_comes_first" {
  command = plan

  variables {
    domain = { name = "relay.example.com", zone = "example.com" }
  }

  assert {
    condition     = cloudflare_workers_custom_domain.this[0].hostname == "relay.example.com" && cloudflare_workers_custom_domain.this[0].service == "relay" && cloudflare_workers_custom_domain.this[0].zone_name == "example.com"
    error_message = "The domain must lead to the Worker."
  }
  assert {
    condition     = output.base_urls == ["https://relay.example.com/v1", "https://relay.my-account.workers.dev/v1"] && [for e in output.endpoints : e.name] == ["relay-cloudflare", "relay-cloudflare-workers-dev"]
    error_message = "The custom domain must come first."
  }
}

run "workers_dev_is_off_where_it_is_not_asked_for" {
  command = plan

  variables {
    domain                = { name = "relay.example.com" }
    workers_dev_subdomain = null
  }

  assert {
    condition     = !cloudflare_workers_script_subdomain.this.enabled && output.base_urls == ["https://relay.example.com/v1"] && length(output.urls) == 0
    error_message = "The domain must be the only endpoint."
  }
}

run "a_limit_that_an_isolate_cannot_keep_is_refused" {
  command = plan

  variables {
    tokens = { alice = { max_in_flight = 1 } }
  }

  expect_failures = [var.tokens]
}
