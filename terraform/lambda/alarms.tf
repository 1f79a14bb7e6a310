# Mails when something is wrong. Alarms and topics belong to a region, so each has its own.
locals {
  alarm_regions = var.alarm_email == null ? [] : var.regions

  # The API in front of a domain counts for itself.
  api_alarms = length(local.api_regions) == 0 ? {} : {
    api-5xx = {
      description = "More than 10 answers of 5xx within 5 minutes through the domain: API Gateway's own, the relay's or OpenAI's."
      namespace   = "AWS/ApiGateway"
      metric      = "5XXError"
      dimensions  = { ApiName = var.name }
      statistic   = "Sum"
      threshold   = 10
    }
  }

  function_alarms = {
    errors = {
      description = "The function ended with an error: it crashed, or ran into its time limit."
      metric      = "Errors"
      statistic   = "Sum"
      threshold   = 0
    }
    throttles = {
      description = "Requests were turned away: the account's or max_instances' limit of requests at a time is reached."
      metric      = "Throttles"
      statistic   = "Sum"
      threshold   = 0
    }
    url-5xx = {
      description = "More than 10 answers of 5xx within 5 minutes, the relay's own or OpenAI's; the log tells which."
      metric      = "Url5xxCount"
      statistic   = "Sum"
      threshold   = 10
    }
    duration = {
      description = "A request took nearly all of the ${local.timeout} s that a function has; behind them it is cut."
      metric      = "Duration"
      statistic   = "Maximum"
      threshold   = (local.timeout - 60) * 1000
    }
  }

  alarms = merge(local.api_alarms, { for name, alarm in local.function_alarms : name => merge(alarm, {
    namespace  = "AWS/Lambda"
    dimensions = { FunctionName = var.name }
  }) })

  region_alarms = {
    for pair in setproduct(local.alarm_regions, keys(local.alarms)) :
    "${pair[0]}/${pair[1]}" => merge(local.alarms[pair[1]], { region = pair[0], name = pair[1] })
  }
}

resource "aws_sns_topic" "alarms" {
  for_each = toset(local.alarm_regions)

  region = each.key
  name   = "${var.name}-alarms"
  tags   = var.tags
}

resource "aws_sns_topic_subscription" "alarms" {
  for_each = toset(local.alarm_regions)

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
  treat_missing_data  = "notBreaching" # no requests, no trouble
  alarm_actions       = [aws_sns_topic.alarms[each.value.region].arn]
  ok_actions          = [aws_sns_topic.alarms[each.value.region].arn]
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
  }

  notification {
    comparison_operator        = "GREATER_THAN"
    notification_type          = "FORECASTED"
    threshold                  = 100
    threshold_type             = "PERCENTAGE"
    subscriber_email_addresses = var.alarm_email[*]
  }
}
