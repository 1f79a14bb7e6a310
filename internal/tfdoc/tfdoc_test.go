package tfdoc

import (
	"os"
	"path/filepath"
	"testing"
)

const source = `
# A comment, and a block that is none of ours.
resource "x" "y" {
  name = "z"
}

variable "domain" {
  description = "A \"domain\" | two."
  type = object({
    name = string
    zone = optional(string)
  })
  default = null

  validation {
    condition     = var.domain == null
    error_message = "default = wrong"
  }
}

variable "token" {
  description = "A token."
  type        = string
  sensitive   = true
}

output "urls" {
  description = "URLs."
  value       = { a = 1 }
}
`

func TestTables(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	inputs := "| Variable | Type | Default | |\n| --- | --- | --- | --- |\n" +
		"| `domain` | `object({ name = string, zone = optional(string) })` | `null` | A \"domain\" \\| two. |\n" +
		"| `token` (sensitive) | `string` | required | A token. |\n"
	if got := m.Inputs(); got != inputs {
		t.Errorf("Inputs() = %s\nwant %s", got, inputs)
	}
	results := "| Output | |\n| --- | --- |\n| `urls` | URLs. |\n"
	if got := m.Results(); got != results {
		t.Errorf("Results() = %s\nwant %s", got, results)
	}
	if _, err := Load(t.TempDir()); err == nil {
		t.Error("an empty folder is a module")
	}
}
