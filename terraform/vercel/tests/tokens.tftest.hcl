# Named tokens, as the platform gets them.
mock_provider "vercel" {}

mock_provider "random" {}

variables {
  regions = ["cdg1"]
}

run "only_hashes_of_named_tokens_reach_the_platform" {
  command = apply # to mocks: tokens are generated then

  variables {
    tokens = { alice = { expires = "2027-01-31T00:00:00Z" }, bob = { per_minute = 60 } }
  }

  assert {
    condition = jsondecode(vercel_project_environment_variable.this["RELAY_ACCESS_TOKENS"].value) == [
      "sha256:${sha256(output.access_token)}",
      { name = "alice", sha256 = sha256(output.tokens.alice), expires = "2027-01-31T00:00:00Z" },
      { name = "bob", sha256 = sha256(output.tokens.bob), per_minute = 60 },
    ]
    error_message = "Each name must have the hash of its own token, and what is set."
  }
  assert {
    condition     = keys(output.tokens) == ["alice", "bob"] && alltrue([for token in concat(values(output.tokens), [output.access_token]) : !strcontains(jsonencode([for v in vercel_project_environment_variable.this : v.value]), token)])
    error_message = "A token is in the function's environment."
  }
}
