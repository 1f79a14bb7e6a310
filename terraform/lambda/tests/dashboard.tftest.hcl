# The dashboard and the saved queries, as CloudWatch gets them.
mock_provider "aws" {}

mock_provider "random" {}

variables {
  package       = { path = "versions.tf" }
  regions       = ["us-east-1", "eu-west-3"]
  access_tokens = ["0123456789abcdef0123456789abcdef"]
}

run "a_dashboard_is_off_unless_asked_for" {
  command = plan

  assert {
    condition     = length(aws_cloudwatch_dashboard.this) == 0 && length(aws_cloudwatch_query_definition.this) == 0
    error_message = "There must be no dashboard by default: it costs money, and the queries need permissions of their own."
  }
}

run "one_dashboard_shows_the_metrics_and_the_log_of_every_region" {
  command = plan

  variables {
    dashboard = true
    name      = "relay-2"
  }

  assert {
    condition     = length(aws_cloudwatch_dashboard.this) == 1 && aws_cloudwatch_dashboard.this[0].dashboard_name == "relay-2"
    error_message = "Dashboards are global: one for each region would replace each other."
  }
  assert {
    condition = toset(flatten([for w in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : [
      for m in w.properties.metrics : "${m[0]} ${m[1]} ${m[2]}=${m[3]} ${m[4].region}"] if w.type == "metric"
      ])) == toset([for pair in setproduct(["Invocations", "Errors", "Throttles", "ConcurrentExecutions"], ["eu-west-3", "us-east-1"]) :
      "AWS/Lambda ${pair[0]} FunctionName=relay-2 ${pair[1]}"
    ])
    error_message = "The metrics must be those of each region's function."
  }
  assert {
    condition = alltrue([for w in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets :
      startswith(w.properties.query, "SOURCE '/aws/lambda/relay-2' | filter msg = \"request\"") && endswith(w.properties.title, ": ${w.properties.region}") if w.type == "log"
    ])
    error_message = "Each query must begin with the log group that it reads, and each title must have the region."
  }
  assert {
    condition = alltrue([for region in ["eu-west-3", "us-east-1"] : toset([
      for w in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : trimprefix(w.properties.query, "SOURCE '/aws/lambda/relay-2' | ") if w.type == "log" && try(w.properties.region, "") == region
    ]) == toset([for file in fileset("queries", "*.txt") : trimspace(file("queries/${file}"))])])
    error_message = "Each region must show every query."
  }
  assert {
    condition = alltrue([for w in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets :
      (w.properties.view == "timeSeries") == can(regex("by bin\\([0-9a-z]+\\)$", w.properties.query)) if w.type == "log"
    ])
    error_message = "CloudWatch draws lines of a query that is grouped by bin and nothing else, and of no other."
  }
  assert {
    condition     = alltrue([for w in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : w.x + w.width <= 24])
    error_message = "A row of a dashboard is 24 wide."
  }
  assert {
    condition = length(distinct(flatten([for w in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : [
      for cell in setproduct(range(w.x, w.x + w.width), range(w.y, w.y + w.height)) : "${cell[0]},${cell[1]}"
    ]]))) == sum([for w in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : w.width * w.height])
    error_message = "Widgets overlap."
  }
}

run "queries_are_saved_in_every_region_for_its_own_log" {
  command = plan

  variables {
    dashboard = true
    name      = "relay-2"
  }

  assert {
    condition     = keys(aws_cloudwatch_query_definition.this) == ["eu-west-3/failures", "eu-west-3/tokens", "eu-west-3/usage", "us-east-1/failures", "us-east-1/tokens", "us-east-1/usage"]
    error_message = "Logs Insights has the queries of its own region only."
  }
  assert {
    condition = alltrue([for key, q in aws_cloudwatch_query_definition.this :
      key == "${q.region}/${trimprefix(q.name, "relay-2/")}" && q.log_group_names == tolist(["/aws/lambda/relay-2"]) && q.query_string == trimspace(file("queries/${basename(q.name)}.txt"))
    ])
    error_message = "Each must be named after the relay and read its log."
  }
}

run "a_log_without_the_requests_that_succeed_has_no_dashboard" {
  command = plan

  variables {
    dashboard = true
    settings  = { RELAY_LOG_LEVEL = "warn" }
  }

  expect_failures = [var.dashboard]
}

run "it_may_be_filtered_where_there_is_none" {
  command = plan

  variables {
    settings = { RELAY_LOG_LEVEL = "warn" }
  }

  assert {
    condition     = alltrue([for f in aws_lambda_function.this : f.environment[0].variables.RELAY_LOG_LEVEL == "warn"])
    error_message = "The setting must reach the function."
  }
}
