mock_provider "vercel" {}

mock_provider "random" {}

run "one_project_is_planned" {
  command = plan

  assert {
    condition     = length(output.base_urls) == 1 && output.endpoints[0].name == "relay-vercel-iad1"
    error_message = "One project, one base URL."
  }
}
