# The source that Vercel builds: an allow-list, as in .vercelignore, so that no state, variables, .env or stray key can be
# uploaded.
locals {
  # With its slash: Vercel's provider removes exactly this prefix from the files' names.
  source = "${trimsuffix(coalesce(var.source_path, "${path.module}/../.."), "/")}/"

  source_patterns = [
    "core/**/*.go",
    "core/page/document.html",
    "go.mod",
    "go.sum",
    "vercel/*.go",
    "vercel/vercel.json",
  ]

  source_files = toset([
    for file in flatten([for pattern in local.source_patterns : tolist(fileset(local.source, pattern))]) :
    file if !endswith(file, "_test.go")
  ])
}

data "vercel_file" "source" {
  for_each = local.source_files

  path = "${local.source}${each.key}"
}
