locals {
  url_regions = var.direct_urls ? var.regions : []
  urls        = { for region in local.url_regions : region => trimsuffix(google_cloud_run_v2_service.this[region].uri, "/") }
  domain_url  = var.domain == null ? [] : ["https://${var.domain.name}"]

  # The custom domain first: it was set up for a reason.
  ordered_urls = concat(local.domain_url, [for region in local.url_regions : local.urls[region]])
  names        = concat([for url in local.domain_url : "${var.name}-gcp"], [for region in local.url_regions : "${var.name}-gcp-${region}"])
}

output "access_token" {
  description = "Access token for clients: in front of the API key, as rt_<token>.<key>, or in the header X-Relay-Token. Null if access_tokens has hashes only."
  value       = module.common.access_token
  sensitive   = true
}

output "base_urls" {
  description = "Base URLs for OpenAI clients, in order of preference, your own domain first."
  value       = [for url in local.ordered_urls : "${url}/v1"]
}

output "dns_records" {
  description = "DNS records to set for the domain, without zone."
  value       = var.domain == null || try(var.domain.zone, null) != null ? [] : [{ name = var.domain.name, type = "A", value = google_compute_global_address.this[0].address }]
}

output "endpoints" {
  description = "All endpoints, in order of preference, with the token: the file for relay serve -upstreams-file (umask 077 && terraform output -json endpoints > urls.json, as it holds the token)."
  value       = [for i, url in local.ordered_urls : { name = local.names[i], url = url, token = module.common.access_token }]
  sensitive   = true
}

output "tokens" {
  description = "Named tokens that were generated, by name. Clients send them as access_token."
  value       = module.common.tokens
  sensitive   = true
}

output "try" {
  description = "A command that tests the relay; run it in this folder."
  value       = "curl ${local.ordered_urls[0]}/v1/models -H \"Authorization: Bearer ${module.common.key_in_shell}\""
}

output "urls" {
  description = "URL of each region's function (…run.app); none if direct_urls is false."
  value       = local.urls
}
