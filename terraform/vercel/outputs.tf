locals {
  # A production deployment has several names, custom domains among them. The shortest vercel.app name is the project's own
  # and does not change.
  vercel_names = sort([
    for name in vercel_deployment.this.domains : format("%04d %s", length(name), name)
    if endswith(name, ".vercel.app") && name != try(var.domain.name, "")
  ])
  vercel_url = "https://${try(split(" ", local.vercel_names[0])[1], vercel_deployment.this.url)}"
  domain_url = var.domain == null ? [] : ["https://${var.domain.name}"]

  # The custom domain first: it was set up for a reason.
  ordered_urls = concat(local.domain_url, [local.vercel_url])
  names        = concat([for url in local.domain_url : "${var.name}-vercel"], ["${var.name}-vercel-${join("-", var.regions)}"])

  # An apex, which takes no CNAME, has one label more than the suffix under which domains are registered.
  labels      = split(".", try(var.domain.name, ""))
  suffix      = length(local.labels) < 3 ? "" : join(".", slice(local.labels, length(local.labels) - 2, length(local.labels)))
  guess       = length(local.labels) == (can(regex("^(ac|co|com|edu|go|gob|gov|ltd|me|ne|net|or|org|plc)\\.[a-z]{2}$", local.suffix)) ? 3 : 2)
  is_apex     = coalesce(try(var.domain.apex, null), local.guess)
  dns_address = [for ip in flatten(data.vercel_domain_config.this[*].recommended_ipv4s) : { name = var.domain.name, type = "A", value = ip }]
  dns_alias   = [for config in data.vercel_domain_config.this : { name = var.domain.name, type = "CNAME", value = config.recommended_cname }]
  dns_proof   = [for record in flatten([for domain in vercel_project_domain.this : domain.verification == null ? [] : domain.verification]) : { name = record.domain, type = record.type, value = record.value }]
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
  description = "DNS records to set for the domain."
  value       = concat(local.is_apex ? local.dns_address : local.dns_alias, local.dns_proof)
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
  description = "The project's URL, which is one for all regions."
  value       = { (join(",", var.regions)) = local.vercel_url }
}
