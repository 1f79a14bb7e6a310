mock_provider "aws" {}

mock_provider "random" {}

run "one_region_is_planned" {
  command = plan

  assert {
    condition     = length(output.base_urls) == 1 && output.endpoints[0].name == "relay-aws-us-east-1"
    error_message = "One region, one base URL."
  }
}
