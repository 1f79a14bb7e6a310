mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  # OpenTofu makes values up at plan time already.
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
    condition     = length(aws_api_gateway_rest_api.this) == 0 && length(aws_cloudfront_distribution.this) == 0 && length(aws_route53_record.api) == 0
    error_message = "No domain was asked for."
  }
}

run "a_domain_leads_to_the_nearest_region_that_is_healthy" {
  command = plan

  variables {
    domain = { name = "relay.example.com", zone_id = "Z0123" }
  }

  assert {
    condition     = alltrue([for region, r in aws_route53_record.api : r.name == "relay.example.com" && r.set_identifier == region && r.latency_routing_policy[0].region == region])
    error_message = "Every region must have a latency record."
  }
  assert {
    condition     = alltrue([for h in aws_route53_health_check.this : h.type == "HTTPS" && h.resource_path == "/live/relay/health"])
    error_message = "Health checks must ask the relay itself."
  }
  assert {
    condition     = alltrue([for i in concat(values(aws_api_gateway_integration.all), values(aws_api_gateway_integration.root)) : i.response_transfer_mode == "STREAM" && i.type == "AWS_PROXY" && i.timeout_milliseconds == 900000])
    error_message = "The API must stream, and for as long as the function runs."
  }
  assert {
    condition     = alltrue([for a in aws_api_gateway_rest_api.this : a.endpoint_configuration[0].types == tolist(["REGIONAL"]) && a.binary_media_types == tolist(["*/*"])])
    error_message = "The API must be regional, since edge-optimized ones end after 30 silent seconds, and must leave bodies alone."
  }
  assert {
    condition     = alltrue([for p in aws_lambda_permission.api : p.statement_id == "RelayApi" && p.principal == "apigateway.amazonaws.com"])
    error_message = "The API must be allowed to call the function."
  }
  assert {
    condition     = length(aws_route53_record.api_certificate) == 1 && keys(aws_acm_certificate.api) == ["eu-west-3", "us-east-1"]
    error_message = "A certificate per region, proven by the one record that they share."
  }
  assert {
    condition     = output.base_urls[0] == "https://relay.example.com/v1" && output.endpoints[0].url == "https://relay.example.com" && output.endpoints[0].name == "relay-aws" && length(output.endpoints) == 3
    error_message = "The own domain must come first."
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
    condition     = length(aws_api_gateway_rest_api.this) == 0 && length(aws_cloudfront_distribution.this) == 1 && aws_acm_certificate.cloudfront[0].region == "us-east-1"
    error_message = "CloudFront instead of the API, its certificate in us-east-1."
  }
  assert {
    condition     = aws_cloudfront_distribution.this[0].default_cache_behavior[0].compress == false && contains(aws_cloudfront_distribution.this[0].default_cache_behavior[0].allowed_methods, "POST")
    error_message = "CloudFront must let POST pass and must not compress streams."
  }
  assert {
    condition     = keys(aws_route53_record.cloudfront) == ["A", "AAAA"]
    error_message = "The name must lead there by IPv4 and IPv6."
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
