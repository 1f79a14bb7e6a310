# All rules of tflint's built-in ruleset except one.
plugin "terraform" {
  enabled = true
  preset  = "all"
}

# Files are named after their content, as everywhere in this repository.
rule "terraform_standard_module_structure" {
  enabled = false
}
