# A dashboard of all regions, from the functions' metrics and from the log, and queries for Logs Insights in each region.
locals {
  queries = { for file in fileset("${path.module}/queries", "*.txt") : trimsuffix(file, ".txt") => trimspace(file("${path.module}/queries/${file}")) }

  # In alphabetical order, so that another order of preference changes nothing.
  dashboard_regions = sort(var.regions)

  # docs/operate.md has them too, for those who create no dashboard.
  saved = ["failures", "tokens", "usage"]
  saved_queries = {
    for pair in setproduct(var.dashboard ? local.dashboard_regions : [], local.saved) :
    "${pair[0]}/${pair[1]}" => { region = pair[0], name = pair[1] }
  }

  # One for all regions: dashboards are global, so a second one of the same name would replace the first.
  metric_widgets = [
    { title = "Invocations", metrics = ["Invocations"], stat = "Sum", x = 0 },
    { title = "Crashes, timeouts and throttled requests", metrics = ["Errors", "Throttles"], stat = "Sum", x = 8 },
    { title = "Concurrent requests", metrics = ["ConcurrentExecutions"], stat = "Maximum", x = 16 },
  ]

  # For each region, as a query reads the log of one. A row is 24 wide.
  log_widgets = [
    { title = "Requests", query = "requests", view = "timeSeries", x = 0, y = 0, width = 8 },
    { title = "Failures of the relay or the API", query = "failures_over_time", view = "timeSeries", x = 8, y = 0, width = 8 },
    { title = "Time to first byte, ms", query = "first_byte", view = "timeSeries", x = 16, y = 0, width = 8 },
    { title = "Failures by error, status and upstream", query = "failures", view = "table", x = 0, y = 6, width = 8 },
    { title = "Fail-overs between upstreams", query = "failovers", view = "timeSeries", x = 8, y = 6, width = 8 },
    { title = "Requests by access token", query = "tokens", view = "table", x = 16, y = 6, width = 8 },
    { title = "Usage by day, access token and model", query = "usage", view = "table", x = 0, y = 12, width = 24 },
  ]
  log_rows = 18

  dashboard_text = <<-EOT
    **Relay ${var.name}**, made by Terraform: changes here are lost. Below are the metrics of all functions, then the log of each region.
    Times to first byte are percentiles. Usage is there with `RELAY_LOG_USAGE = "true"` in `settings`.
  EOT

  dashboard = {
    start = "-P1D"
    widgets = concat(
      [{ type = "text", x = 0, y = 0, width = 24, height = 2, properties = { markdown = local.dashboard_text } }],
      [for widget in local.metric_widgets : {
        type   = "metric"
        x      = widget.x
        y      = 2
        width  = 8
        height = 6
        properties = {
          title  = widget.title
          region = local.dashboard_regions[0] # of the widget; each metric has its own
          stat   = widget.stat
          period = 300
          view   = "timeSeries"
          metrics = [
            for pair in setproduct(local.dashboard_regions, widget.metrics) :
            ["AWS/Lambda", pair[1], "FunctionName", var.name, { region = pair[0], label = length(widget.metrics) > 1 ? "${pair[0]} ${pair[1]}" : pair[0] }]
          ]
        }
      }],
      [for pair in setproduct(range(length(local.dashboard_regions)), local.log_widgets) : {
        type   = "log"
        x      = pair[1].x
        y      = 8 + local.log_rows * pair[0] + pair[1].y
        width  = pair[1].width
        height = 6
        properties = {
          title  = "${pair[1].title}: ${local.dashboard_regions[pair[0]]}"
          region = local.dashboard_regions[pair[0]]
          query  = "SOURCE '${aws_cloudwatch_log_group.this[local.dashboard_regions[pair[0]]].name}' | ${local.queries[pair[1].query]}"
          view   = pair[1].view
        }
      }],
    )
  }
}

resource "aws_cloudwatch_dashboard" "this" {
  count = var.dashboard ? 1 : 0

  dashboard_name = var.name
  dashboard_body = jsonencode(local.dashboard)
}

# The name's slash makes a folder of them in the console.
resource "aws_cloudwatch_query_definition" "this" {
  for_each = local.saved_queries

  region          = each.value.region
  name            = "${var.name}/${each.value.name}"
  log_group_names = [aws_cloudwatch_log_group.this[each.value.region].name]
  query_string    = local.queries[each.value.name]
}
