package terraform_test

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"example.com/relay/core"
)

// settingsFile returns common/settings.tf: the names that the variable settings
// accepts, and rules for their values.
func settingsFile() string {
	var b strings.Builder
	b.WriteString("# Written by make tf-update from the settings of core. Do not edit.\n")
	b.WriteString("locals {\n  setting_names = [\n")
	for _, s := range core.Settings() {
		fmt.Fprintf(&b, "    %q,\n", s.Name)
	}
	b.WriteString("  ]\n\n  # A value must match like and must not match unlike.\n  setting_values = {\n")
	width := 0
	for name, r := range rules {
		if r != elsewhere {
			width = max(width, len(name)) // as terraform fmt has it
		}
	}
	for _, s := range core.Settings() {
		if r := rules[s.Name]; r != elsewhere {
			fmt.Fprintf(&b, "    %-*s = %s\n", width, s.Name, quoted(r))
		}
	}
	fmt.Fprintf(&b, "  }\n\n  origin_value = %s\n\n  upstream_value = %s\n}\n",
		quoted(originRule), quoted(upstreamRule))
	return b.String()
}

// quoted returns a rule as a Terraform object. An empty unlike becomes a pattern that
// matches nothing.
func quoted(r rule) string {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "${", "$${", "%{", "%%{")
	return fmt.Sprintf("{ like = \"%s\", unlike = \"%s\" }",
		quote.Replace(r.like), quote.Replace(cmp.Or(r.unlike, `^\b$`)))
}

// Terraform knows all settings: a name that a plan accepts, the relay accepts.
func TestModulesKnowTheSettings(t *testing.T) {
	golden(t, "common/settings.tf", settingsFile())
}

var settingName = regexp.MustCompile(`\bRELAY_[A-Z_]+\b`)

// Every setting named in the modules and examples exists, and the settings that a
// module sets itself are those that its variable settings refuses.
func TestModulesNameNoOtherSettings(t *testing.T) {
	names := make(map[string]bool)
	for _, s := range core.Settings() {
		names[s.Name] = true
	}
	files, err := filepath.Glob("*/*.tf")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("examples/*/*.tf")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range slices.Concat(files, more) {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range settingName.FindAllString(string(source), -1) {
			if !names[name] {
				t.Errorf("%s names %s, which is not a setting", file, name)
			}
		}
	}
	outputs, err := os.ReadFile("common/outputs.tf")
	if err != nil {
		t.Fatal(err)
	}
	common := string(outputs)
	for _, module := range modules {
		source, err := os.ReadFile(filepath.Join(module, "main.tf"))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(source), "managed_settings = {\n")
		managed, rest, _ := strings.Cut(rest, "\n  }\n")
		for _, name := range settingName.FindAllString(rest, -1) {
			if !strings.Contains(managed, name) {
				t.Errorf("%s sets %s, but its managed_settings does not have it, so users' values would be ignored",
					module, name)
			}
		}
		for _, name := range settingName.FindAllString(common, -1) {
			if !strings.Contains(managed, name) {
				t.Errorf("common sets %s, but managed_settings of %s does not have it", name, module)
			}
		}
		if !strings.Contains(managed, "RELAY_LAMBDA_INVOKE_MODE") || !strings.Contains(common, "RELAY_ACCESS_TOKENS") {
			t.Errorf("%s: managed_settings was not found", module)
		}
	}
}
