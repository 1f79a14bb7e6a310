# What all modules share: tokens, settings, and the environment that core reads. It creates nothing on any platform.
resource "random_bytes" "token" {
  count = nonsensitive(length(var.access_tokens)) == 0 ? 1 : 0

  length = 32 # 256 bits
}

# Each in a resource of its own, so that -replace makes one anew and leaves the others alone.
resource "random_bytes" "named" {
  for_each = { for name, token in var.tokens : name => token if token.sha256 == null }

  length = 32
}

locals {
  tokens       = length(random_bytes.token) > 0 ? tolist(random_bytes.token[*].hex) : var.access_tokens
  plain_tokens = [for token in local.tokens : trimprefix(token, "rt_") if !startswith(token, "sha256:")]
  access_token = try(local.plain_tokens[0], null)

  # A function's environment reveals no token.
  token_hashes = [for token in local.tokens : startswith(token, "sha256:") ? lower(token) : "sha256:${sha256(trimprefix(token, "rt_"))}"]

  # A list with commas where no token has a name, as older versions have it. Only what is set is in the JSON.
  named_tokens = [for name, token in var.tokens : {
    for member, value in merge(token, {
      name   = name
      sha256 = token.sha256 == null ? sha256(random_bytes.named[name].hex) : lower(trimprefix(token.sha256, "sha256:"))
    }) : member => value if value != null
  }]
  tokens_setting = length(local.named_tokens) == 0 ? join(",", local.token_hashes) : jsonencode(concat(local.token_hashes, local.named_tokens))

  # As the relay names them.
  upstream_names = nonsensitive([for upstream in var.upstreams :
    try(regex("#(.+)$", upstream)[0], replace(replace(regex("^https://(?:[^@/#]*@)?([^#]*)", upstream)[0], "/[/]+$/", ""), "/[/]v1$/", ""), "")
  ])
  upstreams_with_key = nonsensitive([for name in local.upstream_names : name if contains(keys(var.upstream_api_keys), name)])

  # A list with commas where no upstream has a key.
  upstreams_setting = length(local.upstreams_with_key) == 0 ? join(",", var.upstreams) : jsonencode([for i, upstream in var.upstreams : {
    for member, value in { api_key = lookup(var.upstream_api_keys, local.upstream_names[i], null), url = upstream } : member => value if value != null
  }])

  holds_key      = var.holds_key || nonsensitive(var.api_key != null) || length(local.upstreams_with_key) == length(local.upstream_names)
  token_in_shell = nonsensitive(local.access_token == null) ? "$ACCESS_TOKEN" : "$(terraform output -raw access_token)"
}
