# Alarms by mail. Alarms and topics belong to a region, so each region has its own.
locals {
  alarms_on     = var.alarm_email != null || var.alarm_topic_arn != null
  alarm_regions = local.alarms_on ? var.regions : []

  # Route 53 publishes the metrics of its health checks in us-east-1 only.
  check_regions = local.alarms_on ? keys(aws_route53_health_check.this) : []
  topic_regions = var.alarm_topic_arn != null ? [] : distinct(concat(local.alarm_regions, length(local.check_regions) > 0 ? ["us-east-1"] : []))
  topics = {
    for region in distinct(concat(local.alarm_regions, ["us-east-1"])) :
    region => var.alarm_topic_arn != null ? replace(var.alarm_topic_arn, "{region}", region) : try(aws_sns_topic.alarms[region].arn, null)
  }

  # The API behind a domain has metrics of its own.
  api_alarms = length(local.api_regions) == 0 ? {} : {
    api-5xx = {
      description = "More than 10 responses of 5xx within 5 minutes through the domain, from API Gateway, the relay or OpenAI."
      namespace   = "AWS/ApiGateway"
      metric      = "5XXError"
      dimensions  = { ApiName = var.name }
      statistic   = "Sum"
      threshold   = 10
    }
  }

  function_alarms = {
    errors = {
      description = "The function failed: it crashed, or reached its timeout."
      metric      = "Errors"
      statistic   = "Sum"
      threshold   = 0
    }
    throttles = {
      description = "Requests were refused: the account's quota or max_instances of concurrent requests is reached."
      metric      = "Throttles"
      statistic   = "Sum"
      threshold   = 0
    }
    url-5xx = {
      description = "More than 10 responses of 5xx within 5 minutes, from the relay or OpenAI; the log shows which."
      metric      = "Url5xxCount"
      statistic   = "Sum"
      threshold   = 10
    }
    duration = {
      description = "A request took nearly the whole timeout of ${var.timeout} s, at which it is cut."
      metric      = "Duration"
      statistic   = "Maximum"
      threshold   = (var.timeout > 120 ? var.timeout - 60 : floor(var.timeout * 0.9)) * 1000
    }
  }

  alarms = merge(local.api_alarms, {
    for name, alarm in local.function_alarms : name => merge(alarm, {
      namespace  = "AWS/Lambda"
      dimensions = { FunctionName = var.name }
    })
    if name != "url-5xx" || var.function_url
  })

  region_alarms = {
    for pair in setproduct(local.alarm_regions, keys(local.alarms)) :
    "${pair[0]}/${pair[1]}" => merge(local.alarms[pair[1]], { region = pair[0], name = pair[1] })
  }
}

resource "aws_sns_topic" "alarms" {
  for_each = toset(local.topic_regions)

  region = each.key
  name   = "${var.name}-alarms"
  tags   = var.tags
}

resource "aws_sns_topic_subscription" "alarms" {
  for_each = toset(local.topic_regions)

  region    = each.key
  topic_arn = aws_sns_topic.alarms[each.key].arn
  protocol  = "email"
  endpoint  = var.alarm_email
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.region_alarms

  region              = each.value.region
  alarm_name          = "${var.name}-${each.value.name}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  treat_missing_data  = "notBreaching" # no requests, no errors
  alarm_actions       = [local.topics[each.value.region]]
  ok_actions          = [local.topics[each.value.region]]
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "region_out" {
  for_each = toset(local.check_regions)

  region              = "us-east-1"
  alarm_name          = "${var.name}-${each.key}-out"
  alarm_description   = "Route 53 sends no clients to ${each.key}: its relay fails the health check."
  namespace           = "AWS/Route53"
  metric_name         = "HealthCheckStatus"
  dimensions          = { HealthCheckId = aws_route53_health_check.this[each.key].id }
  statistic           = "Minimum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = [local.topics["us-east-1"]]
  ok_actions          = [local.topics["us-east-1"]]
  tags                = var.tags
}

resource "aws_budgets_budget" "this" {
  count = var.monthly_budget == null ? 0 : 1

  name         = "${var.name}-monthly"
  budget_type  = "COST"
  limit_amount = tostring(var.monthly_budget)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"
  tags         = var.tags

  notification {
    comparison_operator        = "GREATER_THAN"
    notification_type          = "ACTUAL"
    threshold                  = 80
    threshold_type             = "PERCENTAGE"
    subscriber_email_addresses = var.alarm_email[*]
    subscriber_sns_topic_arns  = var.alarm_email == null ? [local.topics["us-east-1"]] : []
  }

  notification {
    comparison_operator        = "GREATER_THAN"
    notification_type          = "FORECASTED"
    threshold                  = 100
    threshold_type             = "PERCENTAGE"
    subscriber_email_addresses = var.alarm_email[*]
    subscriber_sns_topic_arns  = var.alarm_email == null ? [local.topics["us-east-1"]] : []
  }
}
