# What all modules share: tokens, settings, and the environment that core reads. It creates nothing on any platform.
resource "random_bytes" "token" {
  count = nonsensitive(length(var.access_tokens)) == 0 ? 1 : 0

  length = 32 # 256 bits
}

locals {
  tokens       = length(random_bytes.token) > 0 ? tolist(random_bytes.token[*].hex) : var.access_tokens
  plain_tokens = [for token in local.tokens : trimprefix(token, "rt_") if !startswith(token, "sha256:")]
  access_token = try(local.plain_tokens[0], null)

  # A function's environment reveals no token.
  token_hashes = [for token in local.tokens : startswith(token, "sha256:") ? lower(token) : "sha256:${sha256(trimprefix(token, "rt_"))}"]

  token_in_shell = nonsensitive(local.access_token == null) ? "$ACCESS_TOKEN" : "$(terraform output -raw access_token)"
}
