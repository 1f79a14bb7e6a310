# The function's zip, from one of three places. Terraform builds nothing.
locals {
  goarch = var.architecture == "arm64" ? "arm64" : "amd64"

  from_url = try(var.package.url, null) != null
  from_s3  = try(var.package.s3_bucket, null) != null

  # By default, the file that make dist/lambda.zip builds in a clone.
  local_zips   = [for file in ["lambda-${local.goarch}.zip", "lambda.zip"] : "${path.module}/../../dist/${file}" if fileexists("${path.module}/../../dist/${file}")]
  package_path = var.package == null ? try(local.local_zips[0], null) : var.package.path

  # SHA256SUMS has hexadecimal digits, and AWS takes base64: three bytes, which are six digits, become four characters.
  alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  digits   = "${lower(coalesce(try(var.package.sha256, null), sha256("")))}00"
  base64 = join("", [for i in range(11) : join("", [
    for unit in [262144, 4096, 64, 1] : substr(local.alphabet, floor(parseint(substr(local.digits, i * 6, 6), 16) / unit) % 64, 1)
  ])])
  package_hash = (
    local.package_path != null ? filebase64sha256(local.package_path) :
    try(var.package.sha256, null) != null ? "${substr(local.base64, 0, 43)}=" : null
  )

  # A file for each region and name: a region that is added later, on another machine, downloads its own.
  downloads = { for region in local.from_url ? var.regions : [] : region => "${path.root}/.terraform/relay-${var.name}-${region}-${substr(local.digits, 0, 16)}.zip" }
}

resource "terraform_data" "download" {
  for_each = local.downloads

  triggers_replace = [var.package.url, lower(var.package.sha256), var.name, var.architecture]

  provisioner "local-exec" {
    interpreter = ["/bin/sh", "-c"]
    command     = file("${path.module}/download.sh")
    environment = {
      PACKAGE_FILE   = each.value
      PACKAGE_SHA256 = lower(var.package.sha256)
      PACKAGE_URL    = var.package.url
    }
  }
}
