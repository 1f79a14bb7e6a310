# A regional REST API in each region, which streams. It serves a custom domain, for which latency records with health checks
# eject a region whose relay does not respond (AWS's only automatic failover for POST and streams), or replaces function URLs.
locals {
  api_domains = local.in_front == "api_gateway" ? var.regions : []
  api_regions = local.in_front == "api_gateway" || !var.function_url ? var.regions : []
  stage       = "live"

  # One method for everything. Each region has its own body, as it names the region's function.
  api_bodies = { for region in local.api_regions : region => jsonencode({
    openapi                                  = "3.0.1"
    info                                     = { title = var.name, version = "1" }
    "x-amazon-apigateway-binary-media-types" = ["*/*"] # otherwise it would change uploads
    paths = { for path in ["/", "/{path+}"] : path => {
      "x-amazon-apigateway-any-method" = merge(
        path == "/" ? {} : { parameters = [{ name = "path", in = "path", required = true, schema = { type = "string" } }] },
        {
          "x-amazon-apigateway-integration" = {
            type                 = "aws_proxy"
            httpMethod           = "POST"
            uri                  = aws_lambda_function.this[region].response_streaming_invoke_arn
            responseTransferMode = "STREAM"
            timeoutInMillis      = var.timeout * 1000
          }
        },
      )
    } }
  }) }
}

resource "aws_api_gateway_rest_api" "this" {
  for_each = toset(local.api_regions)

  region      = each.key
  name        = var.name
  description = "Leads to the function ${var.name}."
  body        = local.api_bodies[each.key]
  tags        = var.tags

  endpoint_configuration {
    types           = ["REGIONAL"]
    ip_address_type = "dualstack"
  }
}

resource "aws_api_gateway_deployment" "this" {
  for_each = toset(local.api_regions)

  region      = each.key
  rest_api_id = aws_api_gateway_rest_api.this[each.key].id

  # A deployment is a snapshot: without this, changes would never go live.
  triggers = {
    body = sha256(local.api_bodies[each.key])
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

resource "aws_api_gateway_domain_name" "this" {
  for_each = toset(local.api_domains)

  region                   = each.key
  domain_name              = var.domain.name
  regional_certificate_arn = local.certificate_arns[each.key]
  security_policy          = "TLS_1_2"
  tags                     = var.tags

  endpoint_configuration {
    types           = ["REGIONAL"]
    ip_address_type = "dualstack"
  }
}

resource "aws_api_gateway_base_path_mapping" "this" {
  for_each = toset(local.api_domains)

  region      = each.key
  api_id      = aws_api_gateway_rest_api.this[each.key].id
  stage_name  = aws_api_gateway_stage.this[each.key].stage_name
  domain_name = aws_api_gateway_domain_name.this[each.key].domain_name
}

# The check calls the region's own API, as the common name leads to the nearest region. A deep check also ejects a region
# that OpenAI has begun to refuse. If OpenAI is down, all regions fail it, and Route 53 then treats all as healthy.
resource "aws_route53_health_check" "this" {
  for_each = toset(local.zone_id == null ? [] : local.api_domains)

  type              = "HTTPS"
  fqdn              = "${aws_api_gateway_rest_api.this[each.key].id}.execute-api.${each.key}.${data.aws_partition.this.dns_suffix}"
  port              = 443
  resource_path     = "/${local.stage}/relay/health${var.domain.deep_health ? "?deep=1" : ""}"
  request_interval  = 30
  failure_threshold = 2
  regions           = ["eu-west-1", "us-east-1", "us-west-2"] # the min that AWS accepts: each check is a request
  tags              = merge(var.tags, { Name = "${var.name}-${each.key}" })
}
