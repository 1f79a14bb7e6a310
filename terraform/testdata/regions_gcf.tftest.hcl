mock_provider "archive" {}

mock_provider "google" {}

mock_provider "random" {}

variables {
  project = "my-project-123456"
}

run "two_regions" {
  command = apply

  variables {
    regions = ["us-central1", "europe-west1"]
  }
}

run "a_third_region" {
  command = plan

  variables {
    regions = ["us-central1", "asia-northeast1", "europe-west1"]
  }
}

run "the_other_way_round" {
  command = plan

  variables {
    regions = ["europe-west1", "us-central1"]
  }
}
