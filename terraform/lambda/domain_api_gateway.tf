# One name before all regions: a regional REST API in each, which streams, and latency records whose health checks take a
# region out when its relay does not answer. It is the one automatic failover of AWS's that works for POST and streams.
locals {
  api_regions = try(var.domain.via, "") == "api_gateway" ? var.regions : []
  stage       = "live"
}

resource "aws_api_gateway_rest_api" "this" {
  for_each = toset(local.api_regions)

  region             = each.key
  name               = var.name
  description        = "Leads to the function ${var.name}."
  binary_media_types = ["*/*"] # or it would change uploads
  tags               = var.tags

  endpoint_configuration {
    types = ["REGIONAL"]
  }
}

resource "aws_api_gateway_resource" "all" {
  for_each = toset(local.api_regions)

  region      = each.key
  rest_api_id = aws_api_gateway_rest_api.this[each.key].id
  parent_id   = aws_api_gateway_rest_api.this[each.key].root_resource_id
  path_part   = "{path+}"
}

resource "aws_api_gateway_method" "all" {
  for_each = toset(local.api_regions)

  region        = each.key
  rest_api_id   = aws_api_gateway_rest_api.this[each.key].id
  resource_id   = aws_api_gateway_resource.all[each.key].id
  http_method   = "ANY"
  authorization = "NONE"
}

resource "aws_api_gateway_method" "root" {
  for_each = toset(local.api_regions)

  region        = each.key
  rest_api_id   = aws_api_gateway_rest_api.this[each.key].id
  resource_id   = aws_api_gateway_rest_api.this[each.key].root_resource_id
  http_method   = "ANY"
  authorization = "NONE"
}

resource "aws_api_gateway_integration" "all" {
  for_each = toset(local.api_regions)

  region                  = each.key
  rest_api_id             = aws_api_gateway_rest_api.this[each.key].id
  resource_id             = aws_api_gateway_resource.all[each.key].id
  http_method             = aws_api_gateway_method.all[each.key].http_method
  type                    = "AWS_PROXY"
  integration_http_method = "POST"
  uri                     = aws_lambda_function.this[each.key].response_streaming_invoke_arn
  response_transfer_mode  = "STREAM"
  timeout_milliseconds    = local.timeout * 1000
}

resource "aws_api_gateway_integration" "root" {
  for_each = toset(local.api_regions)

  region                  = each.key
  rest_api_id             = aws_api_gateway_rest_api.this[each.key].id
  resource_id             = aws_api_gateway_rest_api.this[each.key].root_resource_id
  http_method             = aws_api_gateway_method.root[each.key].http_method
  type                    = "AWS_PROXY"
  integration_http_method = "POST"
  uri                     = aws_lambda_function.this[each.key].response_streaming_invoke_arn
  response_transfer_mode  = "STREAM"
  timeout_milliseconds    = local.timeout * 1000
}

resource "aws_api_gateway_deployment" "this" {
  for_each = toset(local.api_regions)

  region      = each.key
  rest_api_id = aws_api_gateway_rest_api.this[each.key].id

  # A deployment is a copy: without this, changes to the integrations would never go live.
  triggers = {
    integrations = sha256(jsonencode([
      aws_api_gateway_rest_api.this[each.key].binary_media_types,
      aws_api_gateway_integration.all[each.key],
      aws_api_gateway_integration.root[each.key],
    ]))
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_api_gateway_stage" "this" {
  for_each = toset(local.api_regions)

  region        = each.key
  rest_api_id   = aws_api_gateway_rest_api.this[each.key].id
  deployment_id = aws_api_gateway_deployment.this[each.key].id
  stage_name    = local.stage
  tags          = var.tags
}

resource "aws_lambda_permission" "api" {
  for_each = toset(local.api_regions)

  region        = each.key
  statement_id  = "RelayApi"
  function_name = aws_lambda_function.this[each.key].function_name
  action        = "lambda:InvokeFunction"
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_api_gateway_rest_api.this[each.key].execution_arn}/*/*"
}

resource "aws_acm_certificate" "api" {
  for_each = toset(local.api_regions)

  region            = each.key
  domain_name       = var.domain.name
  validation_method = "DNS"
  tags              = var.tags

  lifecycle {
    create_before_destroy = true
  }
}

# ACM wants the same record in every region, so it is made once.
resource "aws_route53_record" "api_certificate" {
  count = length(local.api_regions) > 0 ? 1 : 0

  zone_id = var.domain.zone_id
  name    = tolist(aws_acm_certificate.api[local.api_regions[0]].domain_validation_options)[0].resource_record_name
  type    = tolist(aws_acm_certificate.api[local.api_regions[0]].domain_validation_options)[0].resource_record_type
  records = [tolist(aws_acm_certificate.api[local.api_regions[0]].domain_validation_options)[0].resource_record_value]
  ttl     = 300
}

resource "aws_acm_certificate_validation" "api" {
  for_each = toset(local.api_regions)

  region                  = each.key
  certificate_arn         = aws_acm_certificate.api[each.key].arn
  validation_record_fqdns = aws_route53_record.api_certificate[*].fqdn
}

resource "aws_api_gateway_domain_name" "this" {
  for_each = toset(local.api_regions)

  region                   = each.key
  domain_name              = var.domain.name
  regional_certificate_arn = aws_acm_certificate_validation.api[each.key].certificate_arn
  security_policy          = "TLS_1_2"
  tags                     = var.tags

  endpoint_configuration {
    types = ["REGIONAL"]
  }
}

resource "aws_api_gateway_base_path_mapping" "this" {
  for_each = toset(local.api_regions)

  region      = each.key
  api_id      = aws_api_gateway_rest_api.this[each.key].id
  stage_name  = aws_api_gateway_stage.this[each.key].stage_name
  domain_name = aws_api_gateway_domain_name.this[each.key].domain_name
}

# The check goes through the region's API, not by the common name, which leads to whatever region is nearest.
resource "aws_route53_health_check" "this" {
  for_each = toset(local.api_regions)

  type              = "HTTPS"
  fqdn              = "${aws_api_gateway_rest_api.this[each.key].id}.execute-api.${each.key}.${data.aws_partition.this.dns_suffix}"
  port              = 443
  resource_path     = "/${local.stage}/relay/health"
  request_interval  = 30
  failure_threshold = 2
  regions           = ["eu-west-1", "us-east-1", "us-west-2"] # the fewest that AWS takes: checks are requests, too
  tags              = merge(var.tags, { Name = "${var.name}-${each.key}" })
}

resource "aws_route53_record" "api" {
  for_each = toset(local.api_regions)

  zone_id         = var.domain.zone_id
  name            = var.domain.name
  type            = "A"
  set_identifier  = each.key
  health_check_id = aws_route53_health_check.this[each.key].id

  latency_routing_policy {
    region = each.key
  }

  alias {
    name                   = aws_api_gateway_domain_name.this[each.key].regional_domain_name
    zone_id                = aws_api_gateway_domain_name.this[each.key].regional_zone_id
    evaluate_target_health = true
  }
}
