# Applied, with a mocked Vercel, whose deployments list all their domains, the custom one among them.
mock_provider "vercel" {
  mock_data "vercel_domain_config" {
    defaults = { recommended_cname = "cname.vercel.example", recommended_ipv4s = ["192.0.2.1"] }
  }
  mock_resource "vercel_deployment" {
    defaults = {
      domains = ["r.example", "relay.example.com", "relay-git-main-team.vercel.app", "relay.vercel.app", "relay-abcdefghij-team.vercel.app"]
      url     = "relay-abcdefghij-team.vercel.app"
    }
  }
}

mock_provider "random" {}

variables {
  access_tokens = ["0123456789abcdef0123456789abcdef"]
}

run "an_own_domain_is_listed_once_before_vercels_name" {
  variables {
    domain = { name = "relay.example.com" }
  }

  assert {
    condition     = output.base_urls == ["https://relay.example.com/v1", "https://relay.vercel.app/v1"] && output.urls == { iad1 = "https://relay.vercel.app" }
    error_message = "The custom domain and the project's shortest vercel.app name, each once."
  }
  assert {
    condition     = output.endpoints[*].name == ["relay-vercel", "relay-vercel-iad1"]
    error_message = "Every endpoint must have its own name, which includes the relay's."
  }
  assert {
    condition     = output.dns_records == [{ name = "relay.example.com", type = "CNAME", value = "cname.vercel.example" }]
    error_message = "A subdomain must have a CNAME."
  }
}

run "without_a_domain_a_foreign_one_is_not_taken_for_vercels" {
  assert {
    condition     = output.base_urls == ["https://relay.vercel.app/v1"]
    error_message = "A domain that somebody added by hand is not the project's name."
  }
}

run "a_vercel_app_name_as_domain_is_not_listed_twice" {
  variables {
    domain = { name = "relay.vercel.app" }
  }

  assert {
    condition     = length(distinct(output.base_urls)) == 2 && output.base_urls[0] == "https://relay.vercel.app/v1"
    error_message = "endpoints must have no duplicates: the gateway refuses them."
  }
}

run "a_registered_domain_takes_an_address" {
  variables {
    domain = { name = "example.com" }
  }

  assert {
    condition     = output.dns_records == [{ name = "example.com", type = "A", value = "192.0.2.1" }]
    error_message = "A registered domain must not have a CNAME."
  }
}

run "so_does_one_below_co_uk" {
  variables {
    domain = { name = "example.co.uk" }
  }

  assert {
    condition     = output.dns_records[0].type == "A"
    error_message = "example.co.uk is a registered domain."
  }
}

run "and_a_name_below_that_takes_a_cname" {
  variables {
    domain = { name = "relay.example.co.uk" }
  }

  assert {
    condition     = output.dns_records[0].type == "CNAME"
    error_message = "relay.example.co.uk is not a registered domain."
  }
}

run "who_knows_better_says_so" {
  variables {
    domain = { name = "example.city.kawasaki.jp", apex = true }
  }

  assert {
    condition     = output.dns_records[0].type == "A"
    error_message = "apex must override the guess."
  }
}

run "names_in_other_scripts_are_taken" {
  variables {
    domain = { name = "xn--e1afmkfd.xn--p1ai" }
  }

  assert {
    condition     = output.dns_records[0].type == "A" && output.base_urls[0] == "https://xn--e1afmkfd.xn--p1ai/v1"
    error_message = "A top-level domain may be in another script."
  }
}
