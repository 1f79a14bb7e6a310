package terraform_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"example.com/relay/core"
)

// settingsFile returns a module's settings.tf: the names that its variable
// settings takes.
func settingsFile() string {
	var b strings.Builder
	b.WriteString("# Written by make tf-update from the settings of core. Do not edit.\nlocals {\n  setting_names = [\n")
	for _, s := range core.Settings() {
		fmt.Fprintf(&b, "    %q,\n", s.Name)
	}
	b.WriteString("  ]\n}\n")
	return b.String()
}

// Terraform knows the settings that there are: a name that a plan takes, no
// function refuses.
func TestModulesKnowTheSettings(t *testing.T) {
	for _, module := range modules {
		golden(t, filepath.Join(module, "settings.tf"), settingsFile())
	}
}

var settingName = regexp.MustCompile(`\bRELAY_[A-Z_]+\b`)

// Every setting that is named anywhere in the modules and examples exists, and
// those that a module sets are those that its variable settings refuses.
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
				t.Errorf("%s names %s, which is no setting", file, name)
			}
		}
	}
	for _, module := range modules {
		source, err := os.ReadFile(filepath.Join(module, "main.tf"))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(source), "managed_settings = {\n")
		managed, rest, _ := strings.Cut(rest, "\n  }\n")
		for _, name := range settingName.FindAllString(rest, -1) {
			if !strings.Contains(managed, name) {
				t.Errorf("%s sets %s, but managed_settings does not have it, so that settings would be overridden silently", module, name)
			}
		}
		if !strings.Contains(managed, "RELAY_LAMBDA_INVOKE_MODE") || !strings.Contains(rest, "RELAY_ACCESS_TOKENS") {
			t.Errorf("%s: managed_settings was not found", module)
		}
	}
}
