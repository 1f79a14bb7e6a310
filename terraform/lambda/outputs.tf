locals {
  urls       = { for region in var.regions : region => trimsuffix(var.function_url ? aws_lambda_function_url.this[region].function_url : aws_api_gateway_stage.this[region].invoke_url, "/") }
  domain_url = var.domain == null ? [] : ["https://${var.domain.name}"]

  # The custom domain first: it was set up for a reason.
  ordered_urls = concat(local.domain_url, [for region in var.regions : local.urls[region]])
  names        = concat([for url in local.domain_url : "${var.name}-aws"], [for region in var.regions : "${var.name}-aws-${region}"])
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
  description = "DNS records to set for the domain, without zone_id. If there are several for one name, set one of them, or use your DNS provider's load balancing."
  value       = local.zone_id != null ? [] : [for region in keys(local.targets) : { name = var.domain.name, type = "CNAME", value = local.targets[region].name }]
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
  description = "URL of each region: the function's, or with function_url = false the API's."
  value       = local.urls
}
