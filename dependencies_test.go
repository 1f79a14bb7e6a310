package relay_test

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docs/dependencies.md lists the modules that are compiled into what is
// deployed, and no others.
func TestDependenciesAreExplained(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}",
		"./cmd/relay", "./lambda", "./gcf/cmd", "./vercel")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	compiled := append(strings.Fields(string(out)), "std")
	text, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		listed = append(listed, row[1])
	}
	for _, module := range listed {
		if !slices.Contains(compiled, module) {
			t.Errorf("docs/dependencies.md lists %s, which is not compiled in", module)
		}
	}
	slices.Sort(compiled)
	for _, module := range slices.Compact(compiled) {
		if !slices.Contains(listed, module) {
			t.Errorf("docs/dependencies.md does not say why %s is compiled in", module)
		}
	}
}
