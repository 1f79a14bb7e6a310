# Plan only, with a mocked AWS: no account, no credentials, no state.
mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
}

mock_provider "random" {}

variables {
  package       = { path = "versions.tf" } # any file, for a plan
  regions       = ["eu-west-3", "us-east-1"]
  access_tokens = ["0123456789abcdef0123456789abcdef", "rt_fedcba9876543210fedcba9876543210", "sha256:00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"]
}

run "the_url_streams_and_the_function_knows_it" {
  command = plan

  assert {
    condition     = alltrue([for url in aws_lambda_function_url.this : url.invoke_mode == "RESPONSE_STREAM"])
    error_message = "Every function URL must have the invoke mode RESPONSE_STREAM."
  }
  assert {
    condition     = alltrue([for f in aws_lambda_function.this : f.environment[0].variables.RELAY_LAMBDA_INVOKE_MODE == "RESPONSE_STREAM"])
    error_message = "The function must get its URL's invoke mode."
  }
}

run "the_url_is_open_by_both_permissions_under_our_own_ids" {
  command = plan

  assert {
    condition     = alltrue([for url in aws_lambda_function_url.this : url.authorization_type == "NONE" && length(url.cors) == 0])
    error_message = "The URL must be public, and must not handle preflights itself."
  }
  assert {
    condition     = alltrue([for p in aws_lambda_permission.url : p.action == "lambda:InvokeFunctionUrl" && p.principal == "*" && p.function_url_auth_type == "NONE"])
    error_message = "lambda:InvokeFunctionUrl must be allowed for the auth type NONE."
  }
  assert {
    condition     = alltrue([for p in aws_lambda_permission.invoke : p.action == "lambda:InvokeFunction" && p.principal == "*" && p.invoked_via_function_url])
    error_message = "lambda:InvokeFunction must be allowed by way of the URL, and not otherwise."
  }
  assert {
    condition     = toset(concat([for p in aws_lambda_permission.url : p.statement_id], [for p in aws_lambda_permission.invoke : p.statement_id])) == toset(["RelayUrl", "RelayUrlInvoke"])
    error_message = "The provider creates FunctionURLAllowPublicAccess and FunctionURLAllowInvokeAction itself; with these ids ours would fail for 5 minutes."
  }
}

run "the_function_is_the_zip_on_arm64_with_json_logs" {
  command = plan

  assert {
    condition = alltrue([for f in aws_lambda_function.this :
      f.runtime == "provided.al2023" && f.handler == "bootstrap" && f.architectures == tolist(["arm64"]) && f.timeout == 900 && f.memory_size == 256
    ])
    error_message = "The function must be as docs/platforms/lambda.md requires."
  }
  assert {
    condition     = alltrue([for f in aws_lambda_function.this : f.source_code_hash == filebase64sha256("versions.tf")])
    error_message = "A new zip must be deployed: the function must carry its hash."
  }
  assert {
    condition     = alltrue([for f in aws_lambda_function.this : f.logging_config[0].log_format == "JSON" && f.logging_config[0].application_log_level == "TRACE" && f.logging_config[0].log_group == "/aws/lambda/relay"])
    error_message = "The log must be JSON, in the function's own group, and not filtered twice."
  }
  assert {
    condition     = alltrue([for g in aws_cloudwatch_log_group.this : g.name == "/aws/lambda/relay" && g.retention_in_days == 7])
    error_message = "The log group must be created here, or logs would be kept for ever."
  }
}

run "a_token_is_never_in_plain_text_in_a_functions_environment" {
  command = plan

  assert {
    condition = alltrue([for f in aws_lambda_function.this : f.environment[0].variables.RELAY_ACCESS_TOKENS == join(",", [
      "sha256:${sha256("0123456789abcdef0123456789abcdef")}", "sha256:${sha256("fedcba9876543210fedcba9876543210")}",
      "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
    ])])
    error_message = "The function must get hashes, of the token without rt_."
  }
  assert {
    condition = alltrue([for f in aws_lambda_function.this :
      !strcontains(jsonencode(f.environment[0].variables), "0123456789abcdef0123456789abcdef") && !strcontains(jsonencode(f.environment[0].variables), "fedcba9876543210fedcba9876543210")
    ])
    error_message = "A function's environment has a token."
  }
  assert {
    condition     = output.access_token == "0123456789abcdef0123456789abcdef"
    error_message = "The first plain token must be the output."
  }
}

run "the_role_may_write_its_own_log_and_nothing_else" {
  command = plan

  assert {
    condition = alltrue([for region, p in aws_iam_role_policy.this : jsondecode(p.policy).Statement == [{
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "arn:aws:logs:${region}:123456789012:log-group:/aws/lambda/relay:log-stream:*"
    }]])
    error_message = "The role must be allowed to write its own log only, with no wildcard of actions or resources."
  }
  assert {
    condition     = aws_iam_role.this["eu-west-3"].name == "relay-eu-west-3" && aws_iam_role.this["us-east-1"].name == "relay-us-east-1"
    error_message = "Each region must have a role of its own."
  }
}

run "a_secret_is_read_by_the_extension_and_kept_out_of_the_state" {
  command = plan

  variables {
    api_key_secret = "relay/openai"
  }

  assert {
    condition     = alltrue([for f in aws_lambda_function.this : f.environment[0].variables.RELAY_API_KEY_SECRET == "relay/openai" && !contains(keys(f.environment[0].variables), "RELAY_API_KEY")])
    error_message = "The function must get the secret's name and not the key."
  }
  assert {
    condition     = alltrue([for region, f in aws_lambda_function.this : length(f.layers) == 1 && startswith(f.layers[0], "arn:aws:lambda:${region}:") && strcontains(f.layers[0], ":layer:AWS-Parameters-and-Secrets-Lambda-Extension-Arm64:")])
    error_message = "The extension of the function's own region must be there."
  }
  assert {
    condition     = alltrue([for region, p in aws_iam_role_policy.this : jsondecode(p.policy).Statement[1] == { Effect = "Allow", Action = ["secretsmanager:GetSecretValue"], Resource = "arn:aws:secretsmanager:${region}:123456789012:secret:relay/openai-??????" }])
    error_message = "The role must be allowed that one secret."
  }
}

run "a_held_key_goes_into_the_environment_without_being_shown" {
  command = plan

  variables {
    api_key = "sk-test"
  }

  assert {
    condition     = alltrue([for f in aws_lambda_function.this : f.environment[0].variables.RELAY_API_KEY == "sk-test" && length(f.layers == null ? [] : f.layers) == 0])
    error_message = "The function must get the key, and needs no extension for it."
  }
}

run "settings_and_lists_reach_the_function" {
  command = plan

  variables {
    allowed_origins = ["https://chat.example", "http://localhost:3000"]
    max_instances   = 5
    name            = "relay-2"
    settings        = { RELAY_MAX_STREAM_TIME = "10m" }
    upstreams       = ["https://api.openai.com", "https://rt_abc@other.example#other"]
  }

  assert {
    condition = alltrue([for f in aws_lambda_function.this :
      f.environment[0].variables.RELAY_MAX_STREAM_TIME == "10m" &&
      f.environment[0].variables.RELAY_UPSTREAMS == "https://api.openai.com,https://rt_abc@other.example#other" &&
      f.environment[0].variables.RELAY_ALLOWED_ORIGINS == "https://chat.example,http://localhost:3000" &&
      f.environment[0].variables.RELAY_NAME == "relay-2" && f.function_name == "relay-2" && f.reserved_concurrent_executions == 5
    ])
    error_message = "The function must get the configured settings."
  }
}

run "outputs_are_named_for_regions_in_the_order_given" {
  command = plan

  variables {
    regions = ["us-west-2", "eu-west-3", "us-east-1"]
  }

  assert {
    condition     = keys(output.urls) == ["eu-west-3", "us-east-1", "us-west-2"]
    error_message = "urls must have every region."
  }
  assert {
    condition     = length(output.base_urls) == 3 && [for e in output.endpoints : e.name] == ["relay-aws-us-west-2", "relay-aws-eu-west-3", "relay-aws-us-east-1"]
    error_message = "base_urls and endpoints must be in the order of regions."
  }
  assert {
    condition     = alltrue([for e in output.endpoints : e.token == "0123456789abcdef0123456789abcdef"])
    error_message = "endpoints must have the token for the gateway."
  }
}

run "regions_are_told_apart_by_name_not_by_place" {
  command = plan

  variables {
    regions = ["us-east-1", "ap-northeast-1", "eu-west-3"]
  }

  assert {
    condition     = alltrue([for r in [aws_lambda_function.this, aws_lambda_function_url.this, aws_iam_role.this, aws_cloudwatch_log_group.this, aws_lambda_permission.url] : keys(r) == ["ap-northeast-1", "eu-west-3", "us-east-1"]])
    error_message = "A third region, wherever it is in the list, must not change the others."
  }
  assert {
    condition     = alltrue([for region, f in aws_lambda_function.this : f.region == region])
    error_message = "Each function must be in its region."
  }
}

run "alarms_and_budget_are_off_unless_asked_for" {
  command = plan

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.this) == 0 && length(aws_sns_topic.alarms) == 0 && length(aws_budgets_budget.this) == 0
    error_message = "There must be no alarms by default."
  }
}

run "alarms_watch_errors_throttles_5xx_and_the_time_limit_in_every_region" {
  command = plan

  variables {
    alarm_email    = "ops@example.com"
    monthly_budget = 20
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.this) == 8 && toset([for a in aws_cloudwatch_metric_alarm.this : a.metric_name]) == toset(["Errors", "Throttles", "Url5xxCount", "Duration"])
    error_message = "Four alarms per region."
  }
  assert {
    condition     = alltrue([for key, a in aws_cloudwatch_metric_alarm.this : startswith(key, "${a.region}/") && a.dimensions.FunctionName == "relay"])
    error_message = "Each alarm must watch its own region's function."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["eu-west-3/duration"].threshold == 840000
    error_message = "The alarm must fire a minute before the timeout."
  }
  assert {
    condition     = aws_budgets_budget.this[0].limit_amount == "20" && alltrue([for n in aws_budgets_budget.this[0].notification : n.subscriber_email_addresses == toset(["ops@example.com"])])
    error_message = "The budget must mail."
  }
}

run "a_zip_of_a_release_is_fetched_and_known_by_its_checksum" {
  command = plan

  variables {
    package = { url = "https://relay.example/lambda-arm64.zip", sha256 = sha256("test") }
  }

  assert {
    condition     = alltrue([for f in aws_lambda_function.this : f.source_code_hash == base64sha256("test") && strcontains(f.filename, substr(sha256("test"), 0, 16))])
    error_message = "The plan must know the zip's hash, in AWS's form, before the download."
  }
  assert {
    condition     = keys(terraform_data.download) == ["eu-west-3", "us-east-1"]
    error_message = "Each region must download its own, or one added later, on another machine, would find none."
  }
}

run "a_zip_in_s3_is_taken_from_the_regions_own_bucket" {
  command = plan

  variables {
    package = { s3_bucket = "zips-{region}", s3_key = "v1/lambda-arm64.zip", sha256 = upper(sha256("zip 2")) }
  }

  assert {
    condition     = alltrue([for region, f in aws_lambda_function.this : f.s3_bucket == "zips-${region}" && f.s3_key == "v1/lambda-arm64.zip" && f.filename == null && f.source_code_hash == base64sha256("zip 2")])
    error_message = "AWS takes the zip from a bucket in the function's region only."
  }
}

run "another_processor_has_another_layer" {
  command = plan

  variables {
    api_key_secret = "relay/openai"
    architecture   = "x86_64"
    package        = { s3_bucket = "zips", s3_key = "v1/lambda-amd64.zip" }
  }

  assert {
    condition     = alltrue([for f in aws_lambda_function.this : f.architectures == tolist(["x86_64"]) && can(regex(":layer:AWS-Parameters-and-Secrets-Lambda-Extension:[0-9]+$", f.layers[0]))])
    error_message = "The function and its extension must have the configured architecture."
  }
}

run "what_organisations_want_is_taken" {
  command = plan

  variables {
    alarm_topic_arn      = "arn:aws:sns:{region}:123456789012:ops"
    kms_key_arn          = "arn:aws:kms:{region}:123456789012:key/mrk-1"
    memory               = 512
    monthly_budget       = 20
    permissions_boundary = "arn:aws:iam::123456789012:policy/boundary"
    timeout              = 300
    vpc = {
      eu-west-3 = { subnet_ids = ["subnet-a"], security_group_ids = ["sg-a"] }
      us-east-1 = { subnet_ids = ["subnet-b"], security_group_ids = ["sg-b"], ipv6 = true }
    }
  }

  assert {
    condition = alltrue([for region, f in aws_lambda_function.this : f.memory_size == 512 && f.timeout == 300 && f.kms_key_arn == "arn:aws:kms:${region}:123456789012:key/mrk-1" &&
    f.vpc_config[0].subnet_ids == toset([{ eu-west-3 = "subnet-a", us-east-1 = "subnet-b" }[region]]) && f.vpc_config[0].ipv6_allowed_for_dual_stack == (region == "us-east-1")])
    error_message = "The function must have the configured memory, timeout, key and network."
  }
  assert {
    condition     = alltrue([for r in aws_iam_role.this : r.permissions_boundary == "arn:aws:iam::123456789012:policy/boundary"]) && alltrue([for region, g in aws_cloudwatch_log_group.this : g.kms_key_id == "arn:aws:kms:${region}:123456789012:key/mrk-1"])
    error_message = "Roles must have the permissions boundary, and the log must be encrypted."
  }
  assert {
    condition     = alltrue([for region, p in aws_iam_role_policy.this : jsondecode(p.policy).Statement[1] == { Effect = "Allow", Action = ["kms:Decrypt"], Resource = "arn:aws:kms:${region}:123456789012:key/mrk-1" } && contains(jsondecode(p.policy).Statement[2].Action, "ec2:CreateNetworkInterface")])
    error_message = "The role must be allowed the key and the network."
  }
  assert {
    condition     = length(aws_sns_topic.alarms) == 0 && alltrue([for a in aws_cloudwatch_metric_alarm.this : a.alarm_actions == toset(["arn:aws:sns:${a.region}:123456789012:ops"])]) && aws_cloudwatch_metric_alarm.this["eu-west-3/duration"].threshold == 240000
    error_message = "Alarms must go to the existing topic."
  }
  assert {
    condition     = alltrue([for n in aws_budgets_budget.this[0].notification : n.subscriber_sns_topic_arns == toset(["arn:aws:sns:us-east-1:123456789012:ops"])])
    error_message = "The budget must go to the existing topic."
  }
}

run "a_role_of_ones_own_is_used" {
  command = plan

  variables {
    role_arn = "arn:aws:iam::123456789012:role/relay"
  }

  assert {
    condition     = length(aws_iam_role.this) == 0 && length(aws_iam_role_policy.this) == 0 && alltrue([for f in aws_lambda_function.this : f.role == "arn:aws:iam::123456789012:role/relay"])
    error_message = "No role must be created."
  }
}

run "no_instances_stop_the_relay" {
  command = plan

  variables {
    max_instances = 0
  }

  assert {
    condition     = alltrue([for f in aws_lambda_function.this : f.reserved_concurrent_executions == 0])
    error_message = "The emergency stop must stop it."
  }
}
