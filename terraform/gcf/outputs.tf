locals {
  url_regions = var.direct_urls ? var.regions : []
  urls        = { for region in local.url_regions : region => trimsuffix(google_cloud_run_v2_service.this[region].uri, "/") }
  domain_url  = var.domain == null ? [] : ["https://${var.domain.name}"]

  # The own domain first: who has one has a reason.
  ordered_urls = concat(local.domain_url, [for region in local.url_regions : local.urls[region]])
  names        = concat([for url in local.domain_url : "${var.name}-gcp"], [for region in local.url_regions : "${var.name}-gcp-${region}"])
}

output "access_token" {
  description = "Token to show the relay: in front of the API key, as rt_<token>.<key>, or in the header X-Relay-Token. Null if access_tokens has hashes only."
  value       = module.common.access_token
  sensitive   = true
}

output "base_urls" {
  description = "Base URLs for OpenAI clients, in order of preference, the own domain first."
  value       = [for url in local.ordered_urls : "${url}/v1"]
}

output "dns_records" {
  description = "Records to set for the domain where no zone is given."
  value       = var.domain == null || try(var.domain.zone, null) != null ? [] : [{ name = var.domain.name, type = "A", value = google_compute_global_address.this[0].address }]
}

output "endpoints" {
  description = "Every way in, in order of preference, with its token: what relay serve -upstreams-file reads (umask 077 && terraform output -json endpoints > urls.json, as it holds the token)."
  value       = [for i, url in local.ordered_urls : { name = local.names[i], url = url, token = module.common.access_token }]
  sensitive   = true
}

output "try" {
  description = "A command that shows that it works, to be run in this folder."
  value       = "curl ${local.ordered_urls[0]}/v1/models -H \"Authorization: Bearer ${module.common.key_in_shell}\""
}

output "urls" {
  description = "URL of each region's function (…run.app); none if direct_urls is false."
  value       = local.urls
}
