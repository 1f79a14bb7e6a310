mock_provider "random" {}

mock_provider "vercel" {}

variables {
  access_tokens = ["0123456789abcdef0123456789abcdef"]
}

run "a_deployment" {
  command = apply
}

run "a_new_setting" {
  command = plan

  variables {
    settings = { RELAY_MAX_STREAM_TIME = "4m" }
  }
}

run "another_token" {
  command = plan

  variables {
    access_tokens = ["fedcba9876543210fedcba9876543210"]
  }
}
