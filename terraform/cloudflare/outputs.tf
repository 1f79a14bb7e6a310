locals {
  workers_dev_url = var.workers_dev_subdomain == null ? [] : ["https://${var.name}.${var.workers_dev_subdomain}.workers.dev"]
  domain_url      = var.domain == null ? [] : ["https://${var.domain.name}"]

  # The custom domain first: it was set up for a reason.
  ordered_urls = concat(local.domain_url, local.workers_dev_url)
  names        = concat([for url in local.domain_url : "${var.name}-cloudflare"], [for url in local.workers_dev_url : "${var.name}-cloudflare-workers-dev"])
}

output "access_token" {
  description = "Access token for clients: in front of the API key, as rt_<token>.<key>, or in the header X-Relay-Token. Null if access_tokens has hashes only."
  value       = module.common.access_token
  sensitive   = true
}

output "base_urls" {
  description = "Base URLs for OpenAI clients, in order of preference, your own domain first."
  value       = [for url in local.ordered_urls : "${url}/v1"]

  # So that the output has addresses that work.
  depends_on = [cloudflare_workers_custom_domain.this, cloudflare_workers_script_subdomain.this]
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
  description = "The Worker's URL at workers.dev, which is one for all regions; none if workers_dev_subdomain is null."
  value       = { for url in local.workers_dev_url : "global" => url }
}
