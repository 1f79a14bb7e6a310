output "access_token" {
  description = "Access token for clients, in front of the API key: rt_<token>.<key>."
  value       = module.relay.access_token
  sensitive   = true
}

output "base_urls" {
  description = "Base URLs for OpenAI clients."
  value       = module.relay.base_urls
}

output "endpoints" {
  description = "For the gateway: (umask 077 && terraform output -json endpoints > urls.json), then relay serve -upstreams-file urls.json."
  value       = module.relay.endpoints
  sensitive   = true
}

output "try" {
  description = "A command that tests the relay."
  value       = module.relay.try
}
