output "access_token" {
  description = "Access token for clients. Null if access_tokens has hashes only."
  value       = local.access_token
  sensitive   = true
}

output "environment" {
  description = "Environment of the function, without what the platform adds. Its names are not secret."
  sensitive   = true

  value = merge(
    var.settings,
    {
      RELAY_ACCESS_TOKENS   = local.tokens_setting
      RELAY_ALLOWED_ORIGINS = join(",", var.allowed_origins)
      RELAY_NAME            = var.name
      RELAY_UPSTREAMS       = local.upstreams_setting
    },
    nonsensitive(var.api_key == null) ? {} : { RELAY_API_KEY = var.api_key },
  )
}

output "key_in_shell" {
  description = "What a client shows as its API key, as a shell writes it."
  value       = local.holds_key ? "rt_${local.token_in_shell}" : "rt_${local.token_in_shell}.$OPENAI_API_KEY"
}

output "tokens" {
  description = "Named tokens that were generated, by name."
  value       = { for name, token in random_bytes.named : name => token.hex }
  sensitive   = true
}
