# A name for one region, which costs nothing while idle. CloudFront cuts an origin that is silent for 120 s, and its failover
# retries GET only, so this is not for several regions.
locals {
  cloudfront        = local.in_front == "cloudfront"
  cloudfront_region = local.cloudfront ? var.regions[0] : null
}

# By name, as AWS's ids are opaque.
data "aws_cloudfront_cache_policy" "none" {
  count = local.cloudfront ? 1 : 0

  name = "Managed-CachingDisabled"
}

# Function URLs accept their own host name only.
data "aws_cloudfront_origin_request_policy" "all_but_host" {
  count = local.cloudfront ? 1 : 0

  name = "Managed-AllViewerExceptHostHeader"
}

resource "aws_cloudfront_distribution" "this" {
  count = local.cloudfront ? 1 : 0

  comment         = "Leads to the function ${var.name} in ${local.cloudfront_region}."
  enabled         = true
  aliases         = [var.domain.name]
  is_ipv6_enabled = true
  http_version    = "http2and3"
  tags            = var.tags

  origin {
    origin_id           = "relay"
    domain_name         = trimsuffix(trimprefix(aws_lambda_function_url.this[local.cloudfront_region].function_url, "https://"), "/")
    connection_attempts = 1 # a second attempt would be another request

    custom_origin_config {
      http_port                = 80
      https_port               = 443
      origin_protocol_policy   = "https-only"
      origin_ssl_protocols     = ["TLSv1.2"]
      origin_read_timeout      = 120 # the max without a quota increase
      origin_keepalive_timeout = 60
    }
  }

  default_cache_behavior {
    target_origin_id         = "relay"
    viewer_protocol_policy   = "https-only"
    allowed_methods          = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
    cached_methods           = ["GET", "HEAD"]
    cache_policy_id          = data.aws_cloudfront_cache_policy.none[0].id
    origin_request_policy_id = data.aws_cloudfront_origin_request_policy.all_but_host[0].id
    compress                 = false # compression would delay events
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  viewer_certificate {
    acm_certificate_arn      = local.certificate_arns["us-east-1"]
    minimum_protocol_version = "TLSv1.2_2021"
    ssl_support_method       = "sni-only"
  }
}
