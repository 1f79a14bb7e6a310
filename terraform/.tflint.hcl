# All rules of the ruleset that comes with tflint but one.
plugin "terraform" {
  enabled = true
  preset  = "all"
}

# The files are named for what is in them, as everywhere in this repository.
rule "terraform_standard_module_structure" {
  enabled = false
}
