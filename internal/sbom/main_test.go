package main

import (
	"os"
	"strings"
	"testing"
)

// Everything that is compiled in is in the document, and docs/dependencies.md
// says why.
func TestDependenciesAreExplained(t *testing.T) {
	t.Chdir("../..")
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	if len(doc.Components) < 4 {
		t.Errorf("%d components", len(doc.Components))
	}
	for _, c := range doc.Components {
		if !strings.Contains(string(text), "| `"+c.Name+"` |") {
			t.Errorf("docs/dependencies.md does not say why %s is there", c.Name)
		}
		if c.Version == "" || len(c.Properties) == 0 {
			t.Errorf("%+v", c)
		}
	}
}
