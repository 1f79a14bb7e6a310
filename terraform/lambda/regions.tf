# AWS's regions as of November 2026. allow_any_region overrides all of it.
locals {
  regions_with_urls = [
    "af-south-1", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
    "ap-southeast-3", "ca-central-1", "eu-central-1", "eu-north-1", "eu-south-1", "eu-west-1", "eu-west-2", "eu-west-3",
    "me-south-1", "mx-central-1", "sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2",
  ]

  # According to AWS's documentation, these have no function URLs.
  regions_without_urls = [
    "ap-east-2", "ap-south-2", "ap-southeast-4", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "ca-west-1",
    "eu-central-2", "eu-south-2", "il-central-1", "me-central-1",
  ]

  # OpenAI returns 403 unsupported_country_region_territory to requests from there.
  refused_regions = {
    ap-east-1      = "Hong Kong"
    cn-north-1     = "mainland China"
    cn-northwest-1 = "mainland China"
  }

  unknown_regions = [for region in var.regions : region if !contains(concat(local.regions_with_urls, local.regions_without_urls, keys(local.refused_regions)), region)]
}

# AWS opens regions faster than modules are updated, so one that is not in the lists only gets a warning.
check "regions" {
  assert {
    condition     = var.allow_any_region || length(local.unknown_regions) == 0
    error_message = "${join(", ", local.unknown_regions)}: not known to this module as AWS regions. New regions may work; if creating a function URL fails, the region has none. allow_any_region = true disables this warning."
  }
}
