mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  # OpenTofu mocks values at plan time already.
  mock_resource "aws_acm_certificate" {
    defaults = {
      domain_validation_options = [{ domain_name = "relay.example.com", resource_record_name = "_a.relay.example.com", resource_record_type = "CNAME", resource_record_value = "_b.example" }]
    }
  }
}

mock_provider "random" {}

variables {
  package       = { path = "versions.tf" }
  regions       = ["eu-west-3", "us-east-1"]
  access_tokens = ["0123456789abcdef0123456789abcdef"]
}

run "without_a_domain_there_is_nothing_in_front" {
  command = plan

  assert {
    condition     = length(aws_api_gateway_rest_api.this) == 0 && length(aws_cloudfront_distribution.this) == 0 && length(aws_route53_record.this) == 0
    error_message = "There must be no domain by default."
  }
}

run "a_domain_leads_to_the_nearest_region_that_is_healthy" {
  command = plan

  variables {
    domain = { name = "relay.example.com", zone_id = "Z0123" }
  }

  assert {
    condition     = keys(aws_route53_record.this) == ["eu-west-3/A", "eu-west-3/AAAA", "us-east-1/A", "us-east-1/AAAA"] && alltrue([for r in aws_route53_record.this : r.name == "relay.example.com" && r.set_identifier == r.latency_routing_policy[0].region])
    error_message = "Every region must have latency records, for IPv4 and IPv6."
  }
  assert {
    condition     = alltrue([for h in aws_route53_health_check.this : h.type == "HTTPS" && h.resource_path == "/live/relay/health"])
    error_message = "Health checks must call the relay itself."
  }
  assert {
    condition     = alltrue([for a in aws_api_gateway_rest_api.this : a.endpoint_configuration[0].types == tolist(["REGIONAL"]) && a.endpoint_configuration[0].ip_address_type == "dualstack"])
    error_message = "The API must be regional, since edge-optimized ones end after 30 silent seconds, and take IPv6."
  }
  assert {
    condition     = alltrue([for p in aws_lambda_permission.api : p.statement_id == "RelayApi" && p.principal == "apigateway.amazonaws.com"])
    error_message = "The API must be allowed to call the function."
  }
  assert {
    condition     = length(aws_route53_record.certificate) == 1 && keys(aws_acm_certificate.this) == ["eu-west-3", "us-east-1"]
    error_message = "A certificate per region, validated by the one record that they share."
  }
  assert {
    condition     = output.base_urls[0] == "https://relay.example.com/v1" && output.endpoints[0].url == "https://relay.example.com" && output.endpoints[0].name == "relay-aws" && length(output.endpoints) == 3
    error_message = "The custom domain must come first."
  }
  assert {
    condition     = output.try == "curl https://relay.example.com/v1/models -H \"Authorization: Bearer rt_$(terraform output -raw access_token).$OPENAI_API_KEY\""
    error_message = "try must use the own domain."
  }
}

run "a_domain_is_watched_too" {
  command = plan

  variables {
    alarm_email = "ops@example.com"
    domain      = { name = "relay.example.com", zone_id = "Z0123" }
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.this) == 10 && aws_cloudwatch_metric_alarm.this["us-east-1/api-5xx"].dimensions.ApiName == "relay"
    error_message = "The API's own 5xx must be watched in every region."
  }
}

run "one_region_may_have_cloudfront_in_front" {
  command = plan

  variables {
    regions = ["eu-west-3"]
    domain  = { name = "relay.example.com", zone_id = "Z0123", via = "cloudfront" }
  }

  assert {
    condition     = length(aws_api_gateway_rest_api.this) == 0 && length(aws_cloudfront_distribution.this) == 1 && keys(aws_acm_certificate.this) == ["us-east-1"]
    error_message = "CloudFront instead of the API, its certificate in us-east-1."
  }
  assert {
    condition     = aws_cloudfront_distribution.this[0].default_cache_behavior[0].compress == false && contains(aws_cloudfront_distribution.this[0].default_cache_behavior[0].allowed_methods, "POST")
    error_message = "CloudFront must let POST pass and must not compress streams."
  }
  assert {
    condition     = keys(aws_route53_record.this) == ["eu-west-3/A", "eu-west-3/AAAA"]
    error_message = "The name must resolve to it for IPv4 and IPv6."
  }
}

run "cloudfront_before_several_regions_is_refused" {
  command = plan

  variables {
    domain = { name = "relay.example.com", zone_id = "Z0123", via = "cloudfront" }
  }

  expect_failures = [var.domain]
}

run "a_domain_that_is_a_url_is_refused" {
  command = plan

  variables {
    domain = { name = "https://relay.example.com/", zone_id = "Z0123" }
  }

  expect_failures = [var.domain]
}

run "allowed_hosts_that_would_fail_the_health_checks_are_refused" {
  command = plan

  variables {
    domain   = { name = "relay.example.com", zone_id = "Z0123" }
    settings = { RELAY_ALLOWED_HOSTS = "relay.example.com" }
  }

  expect_failures = [var.settings]
}

run "a_region_that_is_out_raises_an_alarm" {
  command = plan

  variables {
    alarm_email = "ops@example.com"
    domain      = { name = "relay.example.com", zone_id = "Z0123", deep_health = true }
    regions     = ["eu-west-3"]
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.region_out["eu-west-3"].region == "us-east-1" && aws_cloudwatch_metric_alarm.region_out["eu-west-3"].metric_name == "HealthCheckStatus" && keys(aws_sns_topic.alarms) == ["eu-west-3", "us-east-1"]
    error_message = "Route 53's metrics are in us-east-1, and so must be the alarm and its topic."
  }
  assert {
    condition     = aws_route53_health_check.this["eu-west-3"].resource_path == "/live/relay/health?deep=1"
    error_message = "A deep check must call OpenAI too."
  }
}

run "a_domain_whose_dns_is_elsewhere_says_what_to_set" {
  command = plan

  variables {
    domain = {
      name = "relay.example.com"
      certificate_arns = {
        eu-west-3 = "arn:aws:acm:eu-west-3:123456789012:certificate/a"
        us-east-1 = "arn:aws:acm:us-east-1:123456789012:certificate/b"
      }
    }
  }

  assert {
    condition     = length(aws_acm_certificate.this) == 0 && length(aws_route53_record.this) == 0 && length(aws_route53_record.certificate) == 0 && length(aws_route53_health_check.this) == 0
    error_message = "Nothing must be created, or paid for, in Route 53."
  }
  assert {
    condition     = alltrue([for region, d in aws_api_gateway_domain_name.this : startswith(d.regional_certificate_arn, "arn:aws:acm:${region}:")])
    error_message = "Each region must use its configured certificate."
  }
  assert {
    condition     = length(output.dns_records) == 2 && alltrue([for r in output.dns_records : r.name == "relay.example.com"]) && output.dns_records[0].type == "CNAME"
    error_message = "The records to set must be an output."
  }
}

run "cloudfront_may_have_its_dns_elsewhere_too" {
  command = plan

  variables {
    regions = ["eu-west-3"]
    domain  = { name = "relay.example.com", via = "cloudfront", certificate_arns = { us-east-1 = "arn:aws:acm:us-east-1:123456789012:certificate/b" } }
  }

  assert {
    condition     = aws_cloudfront_distribution.this[0].viewer_certificate[0].acm_certificate_arn == "arn:aws:acm:us-east-1:123456789012:certificate/b" && length(output.dns_records) == 1
    error_message = "CloudFront must use the configured certificate."
  }
}

run "dns_elsewhere_without_certificates_is_refused" {
  command = plan

  variables {
    domain = { name = "relay.example.com" }
  }

  expect_failures = [var.domain]
}

run "a_region_without_function_urls_has_an_api" {
  command = plan

  variables {
    function_url = false
    regions      = ["il-central-1"]
  }

  assert {
    condition     = length(aws_lambda_function_url.this) == 0 && length(aws_lambda_permission.url) == 0 && keys(aws_api_gateway_stage.this) == ["il-central-1"] && length(aws_api_gateway_domain_name.this) == 0
    error_message = "API Gateway must be the only endpoint."
  }
}

run "cloudfront_without_function_urls_is_refused" {
  command = plan

  variables {
    function_url = false
    regions      = ["eu-west-3"]
    domain       = { name = "relay.example.com", zone_id = "Z0123", via = "cloudfront" }
  }

  expect_failures = [var.domain]
}

run "the_api_streams_everything_for_as_long_as_the_function_runs" {
  command = apply

  variables {
    domain = { name = "relay.example.com", zone_id = "Z0123" }
  }

  assert {
    condition = alltrue([for a in aws_api_gateway_rest_api.this : keys(jsondecode(a.body).paths) == ["/", "/{path+}"] && alltrue([for path in jsondecode(a.body).paths :
      path["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"].responseTransferMode == "STREAM" && path["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"].type == "aws_proxy" &&
      path["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"].timeoutInMillis == 900000
    ])])
    error_message = "The API must stream, and for as long as the function runs."
  }
  assert {
    condition     = alltrue([for a in aws_api_gateway_rest_api.this : jsondecode(a.body)["x-amazon-apigateway-binary-media-types"] == ["*/*"]])
    error_message = "The API must not change bodies."
  }
}
