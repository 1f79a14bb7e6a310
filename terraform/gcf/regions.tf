# Google Cloud's regions as of November 2026. allow_any_region overrides all of it.
locals {
  known_regions = [
    "africa-south1", "asia-east1", "asia-northeast1", "asia-northeast2", "asia-northeast3", "asia-south1", "asia-south2",
    "asia-southeast1", "asia-southeast2", "australia-southeast1", "australia-southeast2", "europe-central2", "europe-north1",
    "europe-north2", "europe-southwest1", "europe-west1", "europe-west10", "europe-west12", "europe-west2", "europe-west3", "europe-west4",
    "europe-west6", "europe-west8", "europe-west9", "me-central1", "me-central2", "me-west1", "northamerica-northeast1",
    "northamerica-northeast2", "northamerica-south1", "southamerica-east1", "southamerica-west1", "us-central1", "us-east1", "us-east4", "us-east5",
    "us-south1", "us-west1", "us-west2", "us-west3", "us-west4",
  ]

  # OpenAI returns 403 unsupported_country_region_territory to requests from there.
  refused_regions = {
    asia-east2 = "Hong Kong"
  }

  unknown_regions = [for region in var.regions : region if !contains(concat(local.known_regions, keys(local.refused_regions)), region)]
}

# Google Cloud opens regions faster than modules are updated, so one that is not in the list only gets a warning.
check "regions" {
  assert {
    condition     = var.allow_any_region || length(local.unknown_regions) == 0
    error_message = "${join(", ", local.unknown_regions)}: not known to this module as Google Cloud regions. New regions may work; if creating a service fails, the region has no Cloud Run. allow_any_region = true disables this warning."
  }
}
