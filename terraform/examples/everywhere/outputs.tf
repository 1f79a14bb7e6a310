output "access_token" {
  description = "Access token for clients of all the relays, in front of the API key: rt_<token>.<key>."
  value       = module.aws.access_token
  sensitive   = true
}

output "base_urls" {
  description = "Base URLs for OpenAI clients, in order of preference."
  value       = concat(module.aws.base_urls, module.gcp.base_urls, module.vercel.base_urls, module.cloudflare.base_urls)
}

output "endpoints" {
  description = "For the gateway: (umask 077 && terraform output -json endpoints > urls.json), then relay serve -upstreams-file urls.json."
  value       = concat(module.aws.endpoints, module.gcp.endpoints, module.vercel.endpoints, module.cloudflare.endpoints)
  sensitive   = true
}

output "try" {
  description = "A command per cloud that tests the relay."
  value       = [module.aws.try, module.gcp.try, module.vercel.try, module.cloudflare.try]
}
