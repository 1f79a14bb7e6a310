package relay_test

import (
	"maps"
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
	want := map[string]bool{"std": true}
	for path := range strings.FieldsSeq(string(out)) {
		want[path] = true
	}
	text, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		listed = append(listed, row[1])
	}
	slices.Sort(listed)
	if compiled := slices.Sorted(maps.Keys(want)); !slices.Equal(listed, compiled) {
		t.Errorf("docs/dependencies.md lists %q, compiled in are %q", listed, compiled)
	}
}
