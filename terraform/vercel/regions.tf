# What is known of Vercel's regions, as of November 2026. allow_any_region overrides all of it; the provider asks Vercel
# itself, too.
locals {
  known_regions = [
    "arn1", "bom1", "cdg1", "cle1", "cpt1", "dub1", "dxb1", "fra1", "gru1", "hnd1", "iad1", "icn1", "kix1", "lhr1", "pdx1",
    "sfo1", "sin1", "syd1", "yul1",
  ]

  # OpenAI answers 403 unsupported_country_region_territory to whatever comes from there.
  refused_regions = {
    hkg1 = "Hong Kong"
  }
}
