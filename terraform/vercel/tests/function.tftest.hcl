# Plan only, with a mocked Vercel: no account, no token, no state.
mock_provider "vercel" {
  mock_data "vercel_domain_config" {
    defaults = { recommended_cname = "cname.vercel.example", recommended_ipv4s = ["192.0.2.1"] }
  }
}

mock_provider "random" {}

variables {
  regions       = ["cdg1"]
  access_tokens = ["0123456789abcdef0123456789abcdef"]
}

run "the_project_runs_the_server_in_its_regions" {
  command = plan

  assert {
    condition     = vercel_project.this.root_directory == "vercel" && vercel_project.this.resource_config.fluid && vercel_project.this.resource_config.function_default_regions == toset(["cdg1"]) && vercel_project.this.resource_config.function_default_timeout == 300
    error_message = "Fluid compute, the configured regions, and 300 s."
  }
  assert {
    condition     = vercel_deployment.this.production && vercel_deployment.this.project_settings.root_directory == "vercel"
    error_message = "The deployment must be the production one."
  }
}

run "no_login_page_is_in_the_way" {
  command = plan

  assert {
    condition     = vercel_project.this.vercel_authentication.deployment_type == "none"
    error_message = "Deployment Protection must be off: clients cannot log in."
  }
}

run "nothing_but_source_is_uploaded" {
  command = plan

  assert {
    condition     = contains(keys(data.vercel_file.source), "vercel/main.go") && contains(keys(data.vercel_file.source), "vercel/vercel.json") && contains(keys(data.vercel_file.source), "core/relay.go") && contains(keys(data.vercel_file.source), "go.sum")
    error_message = "Vercel must get the source that it builds."
  }
  assert {
    condition     = alltrue([for file in keys(data.vercel_file.source) : can(regex("^(core|vercel)/[a-z0-9_/.-]+\\.(go|json|html)$|^go\\.(mod|sum)$", file)) && !endswith(file, "_test.go") && !can(regex("tfvars|tfstate|\\.env|\\.pem|\\.key", file))])
    error_message = "No variables, state, keys or tests may be uploaded."
  }
  assert {
    condition     = alltrue([for file, data in data.vercel_file.source : data.path == "${vercel_deployment.this.path_prefix}${file}"])
    error_message = "Without the prefix, the file's name in the repository must remain."
  }
}

run "a_token_is_never_in_plain_text_in_a_functions_environment" {
  command = plan

  assert {
    condition     = vercel_project_environment_variable.this["RELAY_ACCESS_TOKENS"].value == "sha256:${sha256("0123456789abcdef0123456789abcdef")}"
    error_message = "The function must get hashes only."
  }
  assert {
    condition     = alltrue([for v in vercel_project_environment_variable.this : v.sensitive && !strcontains(v.value, "0123456789abcdef0123456789abcdef") && v.target == toset(["preview", "production"])])
    error_message = "Variables must be sensitive, and hold no token."
  }
}

run "old_deployments_with_old_tokens_do_not_stay" {
  command = plan

  assert {
    condition     = vercel_deployment.this.delete_on_destroy
    error_message = "An old deployment would keep accepting the old tokens at its own address."
  }
}

run "settings_and_lists_reach_the_function" {
  command = plan

  variables {
    allowed_origins = ["https://chat.example", "http://localhost:3000"]
    api_key         = "sk-test"
    settings        = { RELAY_MAX_STREAM_TIME = "4m" }
    upstreams       = ["https://api.openai.com", "https://rt_abc@other.example#other"]
  }

  assert {
    condition = (
      vercel_project_environment_variable.this["RELAY_MAX_STREAM_TIME"].value == "4m" &&
      vercel_project_environment_variable.this["RELAY_API_KEY"].value == "sk-test" &&
      vercel_project_environment_variable.this["RELAY_UPSTREAMS"].value == "https://api.openai.com,https://rt_abc@other.example#other" &&
      vercel_project_environment_variable.this["RELAY_ALLOWED_ORIGINS"].value == "https://chat.example,http://localhost:3000"
    )
    error_message = "The function must get the configured settings."
  }
}

run "outputs_are_one_url_for_all_regions" {
  command = plan

  variables {
    regions = ["iad1", "cdg1"]
  }

  assert {
    condition     = keys(output.urls) == ["iad1,cdg1"] && length(output.base_urls) == 1 && output.endpoints[0].name == "relay-vercel-iad1-cdg1"
    error_message = "Vercel has one URL for all regions."
  }
}

run "without_a_domain_there_is_none" {
  command = plan

  assert {
    condition     = length(vercel_project_domain.this) == 0 && length(output.dns_records) == 0
    error_message = "There must be no domain by default."
  }
}

run "a_domain_says_which_records_to_set" {
  command = plan

  variables {
    domain = { name = "relay.example.com" }
  }

  assert {
    condition     = vercel_project_domain.this[0].domain == "relay.example.com" && output.base_urls[0] == "https://relay.example.com/v1" && output.endpoints[0].name == "relay-vercel"
    error_message = "The custom domain must come first."
  }
}

run "a_longer_timeout_reaches_the_project" {
  command = plan

  variables {
    timeout = 800
  }

  assert {
    condition     = vercel_project.this.resource_config.function_default_timeout == 800
    error_message = "The project must have the configured timeout."
  }
}
