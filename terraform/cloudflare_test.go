package terraform_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"example.com/relay/core"
)

// The plan refuses the settings that the Worker refuses.
func TestCloudflareRefusesSettingsOfTheWorker(t *testing.T) {
	worker := read(t, "../cloudflare/worker.js")
	names := func(text, expression string) (found []string) {
		for _, m := range regexp.MustCompile(expression).FindAllStringSubmatch(text, -1) {
			found = append(found, m[1])
		}
		slices.Sort(found)
		return slices.Compact(found)
	}
	off := names(worker, `(RELAY_[A-Z_]+): off\(`)
	_, list, _ := strings.Cut(read(t, "cloudflare/variables.tf"), "for name in [")
	list, _, _ = strings.Cut(list, "]")
	if refused := names(list, `"(RELAY_[A-Z_]+)"`); len(off) == 0 || !slices.Equal(refused, off) {
		t.Errorf("settings that may only be off: %q in the plan, %q in the Worker", refused, off)
	}
	parsed := names(worker, `(?m)^  (RELAY_[A-Z_]+): `)
	main := read(t, "cloudflare/main.tf")
	for _, s := range core.Settings() {
		if !slices.Contains(parsed, s.Name) && !strings.Contains(main, s.Name+" ") {
			t.Errorf("the Worker refuses %s, but the plan accepts it", s.Name)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// A Worker can be created, applied again without a change, changed and destroyed.
// Changes are uploaded to the same Worker, and no address outlives it.
func TestTerraformAppliesAWorkerOnCloudflare(t *testing.T) {
	w := newWorkspace(t)
	write(t, filepath.Join(w.dir, "another.js"), "// of tomorrow")
	config := func(arguments string) string {
		return `terraform {
  required_providers {
    cloudflare = { source = "cloudflare/cloudflare" }
  }
}

module "relay" {
  source = "../cloudflare"

  account_id            = "0123456789abcdef0123456789abcdef"
  workers_dev_subdomain = "my-account"
` + arguments + "}\n"
	}
	const (
		script  = "module.relay.cloudflare_workers_script.this"
		address = "module.relay.cloudflare_workers_script_subdomain.this"
		domain  = "module.relay.cloudflare_workers_custom_domain.this[0]"
	)
	if steps := w.apply(config("")); !before(steps, "create "+script+" ends", "create "+address+" begins") {
		t.Errorf("the first apply: steps %q", steps)
	}
	if steps := w.apply(config("")); len(steps) > 0 {
		t.Errorf("an apply without a change: steps %q, want none", steps)
	}
	for _, change := range []string{
		"  settings = { RELAY_MAX_STREAM_TIME = \"4m\" }\n",
		"  access_tokens = [\"fedcba9876543210fedcba9876543210\"]\n",
		"  file = \"another.js\"\n",
	} {
		steps := w.apply(config(change))
		if !slices.Contains(steps, "update "+script+" ends") || slices.Contains(steps, "delete "+script+" ends") ||
			slices.Contains(steps, "update "+address+" begins") {
			t.Errorf("%s: steps %q", strings.TrimSpace(change), steps)
		}
	}
	steps := w.apply(config("  domain = { name = \"relay.example.com\" }\n"))
	if !slices.Contains(steps, "create "+domain+" ends") {
		t.Errorf("with a domain: steps %q", steps)
	}
	steps = w.apply(`terraform {
  required_providers {
    cloudflare = { source = "cloudflare/cloudflare" }
  }
}
`)
	if !before(steps, "delete "+domain+" ends", "delete "+script+" begins") ||
		!before(steps, "delete "+address+" ends", "delete "+script+" begins") {
		t.Errorf("the removal: steps %q", steps)
	}
}
