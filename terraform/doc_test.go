// Package terraform_test checks the Terraform modules against the rest of the
// repository: settings, READMEs, the files that Vercel gets, and the file that the
// gateway reads. make tf runs the tests that need terraform itself.
package terraform_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/relay/internal/section"
	"example.com/relay/internal/tfdoc"
)

var update = flag.Bool("update", false, "write the generated files")

// stale is what to do about a generated file that is out of date.
const stale = "run make tf-update, and read the diff"

// modules are the folders of the modules, one for each platform.
var modules = []string{"lambda", "gcf", "vercel", "cloudflare"}

func load(t *testing.T, dir string) tfdoc.Module {
	t.Helper()
	m, err := tfdoc.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// golden checks that a generated file is want, or writes it with -update.
func golden(t *testing.T, file, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is out of date: %s", file, stale)
	}
}

// The tables in the modules' READMEs are what the modules declare.
func TestReadmesListInputsAndOutputs(t *testing.T) {
	for _, module := range modules {
		m := load(t, module)
		file := filepath.Join(module, "README.md")
		readme, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text, err := section.Replace(string(readme), "inputs", m.Inputs())
		if err == nil {
			text, err = section.Replace(text, "outputs", m.Results())
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		golden(t, file, text)
	}
}

// Every variable has a type, and every variable and output a description, in
// alphabetical order.
func TestVariablesAndOutputsAreInOrder(t *testing.T) {
	examples, err := filepath.Glob("examples/*")
	if err != nil || len(examples) != 6 {
		t.Fatalf("examples: %q, %v", examples, err)
	}
	for _, dir := range slices.Concat(modules, []string{"common"}, examples) {
		m := load(t, dir)
		for _, list := range [][]tfdoc.Block{m.Variables, m.Outputs} {
			if !slices.IsSortedFunc(list, func(a, b tfdoc.Block) int { return strings.Compare(a.Name, b.Name) }) {
				t.Errorf("%s: variables and outputs are not in alphabetical order", dir)
			}
			for _, b := range list {
				if !strings.HasSuffix(b.Description, ".") {
					t.Errorf("%s: %s has the description %q, want a sentence", dir, b.Name, b.Description)
				}
			}
		}
		for _, v := range m.Variables {
			if v.Type == "" {
				t.Errorf("%s: the variable %s has no type", dir, v.Name)
			}
		}
	}
}

// Variables and outputs that all modules have are named and typed alike.
func TestModulesAgreeOnVariables(t *testing.T) {
	common := []string{
		"access_tokens", "allowed_origins", "api_key", "domain", "name", "regions", "settings",
		"upstream_api_keys", "upstreams",
	}
	results := []string{"access_token", "base_urls", "endpoints", "try", "urls"}
	first := load(t, modules[0])
	for _, module := range modules[1:] {
		m := load(t, module)
		for _, name := range common {
			if module == "cloudflare" && name == "regions" {
				continue // a Worker runs near its clients
			}
			a, b := find(first.Variables, name), find(m.Variables, name)
			if a == nil || b == nil || name != "domain" && a.Type != b.Type || a.Sensitive != b.Sensitive {
				t.Errorf("%s and %s differ in the variable %s", modules[0], module, name)
			}
		}
		for _, name := range results {
			a, b := find(first.Outputs, name), find(m.Outputs, name)
			if a == nil || b == nil || a.Sensitive != b.Sensitive {
				t.Errorf("%s and %s differ in the output %s", modules[0], module, name)
			}
		}
	}
}

func find(list []tfdoc.Block, name string) *tfdoc.Block {
	if i := slices.IndexFunc(list, func(b tfdoc.Block) bool { return b.Name == name }); i >= 0 {
		return &list[i]
	}
	return nil
}

// Variables and outputs with secrets are sensitive, so that no plan shows them.
func TestSecretsAreSensitive(t *testing.T) {
	for _, module := range modules {
		m := load(t, module)
		for _, name := range []string{"access_tokens", "api_key", "upstream_api_keys", "upstreams"} {
			if v := find(m.Variables, name); v == nil || !v.Sensitive {
				t.Errorf("%s: the variable %s is not sensitive", module, name)
			}
		}
		for _, name := range []string{"access_token", "endpoints", "tokens"} {
			if o := find(m.Outputs, name); o == nil || !o.Sensitive {
				t.Errorf("%s: the output %s is not sensitive", module, name)
			}
		}
	}
}

// In every example the tokens are a variable, so that no file has them.
func TestExamplesTakeTokensFromOutside(t *testing.T) {
	examples, err := filepath.Glob("examples/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range examples {
		m := load(t, dir)
		if v := find(m.Variables, "access_tokens"); v == nil || !v.Sensitive || v.Type != "list(string)" {
			t.Errorf("%s has no sensitive variable access_tokens", dir)
		}
	}
}

// What the modules have in common is in the module common.
func TestModulesCallCommon(t *testing.T) {
	for _, module := range modules {
		source, err := os.ReadFile(filepath.Join(module, "main.tf"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(source), "source = \"../common\"") {
			t.Errorf("%s does not call common", module)
		}
	}
}
