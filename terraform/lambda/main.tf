locals {
  # The function cannot look up its URL's mode, so both get it from here.
  invoke_mode = "RESPONSE_STREAM"

  # {region} in an ARN or a bucket name is replaced by the region.
  key_arns = { for region in var.regions : region => var.kms_key_arn == null ? null : replace(var.kms_key_arn, "{region}", region) }
  own_role = var.role_arn == null ? var.regions : []

  arn     = "arn:${data.aws_partition.this.partition}"
  account = data.aws_caller_identity.this.account_id

  # Settings that the variable settings must not have, and what to do instead.
  managed_settings = {
    RELAY_ACCESS_TOKENS      = "use the variables access_tokens and tokens"
    RELAY_ALLOWED_ORIGINS    = "use the variable allowed_origins"
    RELAY_API_KEY            = "use the variable api_key"
    RELAY_API_KEY_SECRET     = "use the variable api_key_secret"
    RELAY_LAMBDA_INVOKE_MODE = "it is always RESPONSE_STREAM"
    RELAY_NAME               = "use the variable name"
    RELAY_REGION             = "the platform sets the region"
    RELAY_UPSTREAMS          = "use the variable upstreams"
  }

  environment = merge(
    module.common.environment,
    { RELAY_LAMBDA_INVOKE_MODE = local.invoke_mode },
    var.api_key_secret == null ? {} : { RELAY_API_KEY_SECRET = var.api_key_secret },
  )
}

module "common" {
  source = "../common"

  access_tokens     = var.access_tokens
  allowed_origins   = var.allowed_origins
  api_key           = var.api_key
  holds_key         = var.api_key_secret != null
  managed_settings  = local.managed_settings
  name              = var.name
  settings          = var.settings
  tokens            = var.tokens
  upstream_api_keys = var.upstream_api_keys
  upstreams         = var.upstreams
}

# Older versions have the token here: keeps it.
moved {
  from = random_bytes.token
  to   = module.common.random_bytes.token
}

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

resource "aws_cloudwatch_log_group" "this" {
  for_each = toset(var.regions)

  region            = each.key
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = local.key_arns[each.key]
  tags              = var.tags
}

# Roles are global, so each region's has its own name: with a shared one, a new region would change the others.
resource "aws_iam_role" "this" {
  for_each = toset(local.own_role)

  name                 = "${var.name}-${each.key}"
  permissions_boundary = var.permissions_boundary
  description          = "What the relay ${var.name} in ${each.key} may do: write its own log."
  tags                 = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  for_each = toset(local.own_role)

  name = "relay"
  role = aws_iam_role.this[each.key].name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${local.arn}:logs:${each.key}:${local.account}:log-group:/aws/lambda/${var.name}:log-stream:*"
      }],
      [for secret in var.api_key_secret[*] : {
        Effect = "Allow"
        Action = ["secretsmanager:GetSecretValue"]
        # AWS appends a hyphen and six characters to a secret's name.
        Resource = "${local.arn}:secretsmanager:${each.key}:${local.account}:secret:${secret}-??????"
      }],
      [for key in local.key_arns[each.key][*] : {
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = key
      }],
      # Lambda itself uses these to attach the function to the VPC; AWS accepts no narrower resource.
      length(var.vpc) == 0 ? [] : [{
        Effect = "Allow"
        Action = [
          "ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets",
          "ec2:UnassignPrivateIpAddresses",
        ]
        Resource = "*"
      }],
    )
  })
}

resource "aws_lambda_function" "this" {
  for_each = toset(var.regions)

  region        = each.key
  function_name = var.name
  description   = "Relays ${var.name}'s clients to the API. Made by Terraform."
  role          = var.role_arn != null ? var.role_arn : aws_iam_role.this[each.key].arn
  kms_key_arn   = local.key_arns[each.key]
  tags          = var.tags

  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = [var.architecture]
  filename         = local.from_url ? local.downloads[each.key] : local.package_path
  s3_bucket        = local.from_s3 ? replace(var.package.s3_bucket, "{region}", each.key) : null
  s3_key           = local.from_s3 ? replace(var.package.s3_key, "{region}", each.key) : null
  source_code_hash = local.package_hash
  layers           = local.secrets_layers[each.key]

  memory_size                    = var.memory
  timeout                        = var.timeout
  reserved_concurrent_executions = var.max_instances

  environment {
    variables = local.environment
  }

  dynamic "vpc_config" {
    for_each = contains(keys(var.vpc), each.key) ? [var.vpc[each.key]] : []

    content {
      ipv6_allowed_for_dual_stack = vpc_config.value.ipv6
      security_group_ids          = vpc_config.value.security_group_ids
      subnet_ids                  = vpc_config.value.subnet_ids
    }
  }

  logging_config {
    log_format            = "JSON"
    log_group             = aws_cloudwatch_log_group.this[each.key].name
    application_log_level = "TRACE" # the relay filters by its own log level
    system_log_level      = "WARN"
  }

  lifecycle {
    precondition {
      condition     = sum(concat([0], [for name, value in local.environment : length(name) + length(value)])) < 4096
      error_message = "The environment variables exceed AWS's max of 4 KB: use fewer access_tokens, tokens, allowed_origins or settings."
    }
  }

  # A function that starts before it may write its log would lose the reason for a failure.
  depends_on = [aws_iam_role_policy.this, terraform_data.download]
}

# Public, as the Authorization header is OpenAI's; the access tokens protect it. No cors block: the relay handles preflights
# itself, and AWS's headers would be duplicates of its own, which browsers reject.
resource "aws_lambda_function_url" "this" {
  for_each = toset(var.function_url ? var.regions : [])

  region             = each.key
  function_name      = aws_lambda_function.this[each.key].function_name
  authorization_type = "NONE"
  invoke_mode        = local.invoke_mode
}

# A URL of type NONE returns 403 without both of these. The provider creates two of its own, which it neither tracks nor
# removes, under the names FunctionURLAllowPublicAccess and FunctionURLAllowInvokeAction; ours must have other names.
resource "aws_lambda_permission" "url" {
  for_each = toset(var.function_url ? var.regions : [])

  region                 = each.key
  statement_id           = "RelayUrl"
  function_name          = aws_lambda_function.this[each.key].function_name
  action                 = "lambda:InvokeFunctionUrl"
  principal              = "*"
  function_url_auth_type = "NONE"
}

resource "aws_lambda_permission" "invoke" {
  for_each = toset(var.function_url ? var.regions : [])

  region                   = each.key
  statement_id             = "RelayUrlInvoke"
  function_name            = aws_lambda_function.this[each.key].function_name
  action                   = "lambda:InvokeFunction"
  principal                = "*"
  invoked_via_function_url = true
}
