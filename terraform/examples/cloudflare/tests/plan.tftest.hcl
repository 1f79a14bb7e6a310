mock_provider "cloudflare" {}

mock_provider "random" {}

variables {
  account_id            = "0123456789abcdef0123456789abcdef"
  workers_dev_subdomain = "my-account"
}

run "one_worker_is_planned" {
  command = plan

  assert {
    condition     = join(",", output.base_urls) == "https://relay.my-account.workers.dev/v1"
    error_message = "One Worker, one base URL."
  }
}
