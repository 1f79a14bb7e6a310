# Vercel's regions as of November 2026. allow_any_region overrides all of it; the provider also asks Vercel itself.
locals {
  known_regions = [
    "arn1", "bom1", "cdg1", "cle1", "cpt1", "dub1", "dxb1", "fra1", "gru1", "hnd1", "iad1", "icn1", "kix1", "lhr1", "pdx1",
    "sfo1", "sin1", "syd1", "yul1",
  ]

  # OpenAI returns 403 unsupported_country_region_territory to requests from there.
  refused_regions = {
    hkg1 = "Hong Kong"
  }

  unknown_regions = [for region in var.regions : region if !contains(concat(local.known_regions, keys(local.refused_regions)), region)]
}

# Vercel opens regions faster than modules are updated, so one that is not in the list only gets a warning.
check "regions" {
  assert {
    condition     = var.allow_any_region || length(local.unknown_regions) == 0
    error_message = "${join(", ", local.unknown_regions)}: not known to this module as Vercel regions. New regions may work; if the provider refuses one, it does not exist. allow_any_region = true disables this warning."
  }
}
