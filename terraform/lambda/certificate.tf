# Certificates and DNS records for the domain. API Gateway and CloudFront share them, so that a change from one to the other
# updates the records in place rather than creating duplicates.
locals {
  in_front = try(var.domain.via, "")
  zone_id  = try(var.domain.zone_id, null)

  # CloudFront takes certificates from us-east-1 only.
  certificate_regions = local.in_front == "cloudfront" ? ["us-east-1"] : local.in_front == "api_gateway" ? var.regions : []
  given_certificates  = try(coalesce(var.domain.certificate_arns, {}), {})
  own_certificates    = [for region in local.certificate_regions : region if !contains(keys(local.given_certificates), region)]
  certificate_arns = merge(local.given_certificates, {
    for region in local.own_certificates : region => aws_acm_certificate_validation.this[region].certificate_arn
  })

  # The targets of the name: an alias for each region, or one for CloudFront.
  targets = merge(
    { for region in local.in_front == "api_gateway" ? var.regions : [] : region => {
      name = aws_api_gateway_domain_name.this[region].regional_domain_name
      zone = aws_api_gateway_domain_name.this[region].regional_zone_id
    } },
    { for region in local.cloudfront ? [local.cloudfront_region] : [] : region => {
      name = aws_cloudfront_distribution.this[0].domain_name
      zone = aws_cloudfront_distribution.this[0].hosted_zone_id
    } },
  )
}

resource "aws_acm_certificate" "this" {
  for_each = toset(local.own_certificates)

  region            = each.key
  domain_name       = var.domain.name
  validation_method = "DNS"
  tags              = var.tags

  lifecycle {
    create_before_destroy = true
  }
}

# ACM requires the same record in every region, so it is created once.
resource "aws_route53_record" "certificate" {
  count = length(local.own_certificates) > 0 ? 1 : 0

  zone_id         = local.zone_id
  name            = one(aws_acm_certificate.this[local.own_certificates[0]].domain_validation_options[*].resource_record_name)
  type            = one(aws_acm_certificate.this[local.own_certificates[0]].domain_validation_options[*].resource_record_type)
  records         = [one(aws_acm_certificate.this[local.own_certificates[0]].domain_validation_options[*].resource_record_value)]
  ttl             = 300
  allow_overwrite = true # another certificate for the name has the same record
}

resource "aws_acm_certificate_validation" "this" {
  for_each = toset(local.own_certificates)

  region                  = each.key
  certificate_arn         = aws_acm_certificate.this[each.key].arn
  validation_record_fqdns = aws_route53_record.certificate[*].fqdn
}

# Latency records, for CloudFront too: Route 53 refuses a simple record next to them during a change.
resource "aws_route53_record" "this" {
  for_each = {
    for pair in setproduct(local.zone_id == null ? [] : ["A", "AAAA"], local.in_front == "api_gateway" ? var.regions : local.cloudfront ? [local.cloudfront_region] : []) :
    "${pair[1]}/${pair[0]}" => { region = pair[1], type = pair[0] }
  }

  zone_id         = local.zone_id
  name            = var.domain.name
  type            = each.value.type
  set_identifier  = each.value.region
  health_check_id = try(aws_route53_health_check.this[each.value.region].id, null)

  latency_routing_policy {
    region = each.value.region
  }

  alias {
    name                   = local.targets[each.value.region].name
    zone_id                = local.targets[each.value.region].zone
    evaluate_target_health = !local.cloudfront
  }
}
