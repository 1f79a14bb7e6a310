package terraform_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A workspace is a root module over fake providers, which keep what they are given:
// terraform applies to them in the order of a real apply.
type workspace struct {
	t              *testing.T
	terraform, dir string
}

// newWorkspace returns an empty workspace next to the modules. Its gcloud is a stub
// that appends its calls to the file gcloud.
func newWorkspace(t *testing.T) *workspace {
	t.Helper()
	terraform, tree := tools(t)
	if os.Getenv("RELAY_TERRAFORM_ECHO") == "" {
		t.Skip("an apply needs fake providers: make tf TF_MIRROR=… has them")
	}
	dir, err := os.MkdirTemp(filepath.Join(tree, "terraform"), "apply")
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "bin")
	write(t, filepath.Join(bin, "gcloud"), `#!/bin/sh
case $1 in auth) echo token ;; *) echo "$CLOUDSDK_AUTH_ACCESS_TOKEN $*" >>'`+filepath.Join(dir, "gcloud")+`' ;; esac
`)
	if err := os.Chmod(filepath.Join(bin, "gcloud"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	return &workspace{t, terraform, dir}
}

// apply applies config, with more options of terraform apply, and returns the begin
// and the end of each step, in order, as "update module.relay.google_….this[0] begins"
// and "… ends".
func (w *workspace) apply(config string, options ...string) (steps []string) {
	w.t.Helper()
	write(w.t, filepath.Join(w.dir, "main.tf"), config)
	run(w.t, w.dir, w.terraform, "init", "-input=false", "-no-color")
	args := append([]string{"apply", "-auto-approve", "-input=false", "-json"}, options...)
	for line := range strings.Lines(run(w.t, w.dir, w.terraform, args...)) {
		var event struct {
			Type string
			Hook struct {
				Action   string
				Resource struct{ Addr string }
			}
		}
		if json.Unmarshal([]byte(line), &event) != nil {
			continue
		}
		if event.Hook.Action == "read" {
			continue
		}
		name := event.Hook.Action + " " + event.Hook.Resource.Addr
		switch event.Type {
		case "apply_start":
			steps = append(steps, name+" begins")
		case "apply_complete":
			steps = append(steps, name+" ends")
		}
	}
	return steps
}

// before reports whether steps has first and, after it, second.
func before(steps []string, first, second string) bool {
	i, j := slices.Index(steps, first), slices.Index(steps, second)
	return i >= 0 && j >= 0 && i < j
}

// gcf returns a root module that calls the module gcf with arguments.
func gcf(arguments string) string {
	return `provider "google" {
  project = "my-project-123456"
}

module "relay" {
  source = "../gcf"

  project = "my-project-123456"
` + arguments + "}\n"
}

// A region that fails is removed, and the rate limit too: the load balancer must
// release both before Google deletes them.
func TestTerraformRemovesARegionOnGoogle(t *testing.T) {
	w := newWorkspace(t)
	const (
		backend = "update module.relay.google_compute_backend_service.this[0] ends"
		domain  = `  domain = { name = "relay.example.com" }` + "\n"
		limited = `  domain = { name = "relay.example.com", requests_per_minute = 600 }` + "\n"
	)
	w.apply(gcf(`  regions = ["us-central1", "europe-west1"]` + "\n" + limited))

	steps := w.apply(gcf(`  regions = ["us-central1"]` + "\n" + limited))
	gone := `delete module.relay.google_compute_region_network_endpoint_group.this["europe-west1"] begins`
	if !before(steps, backend, gone) {
		t.Errorf("a region is removed in this order, which Google refuses:\n%s", strings.Join(steps, "\n"))
	}
	if !before(steps, strings.Replace(gone, "begins", "ends", 1),
		`delete module.relay.google_cloud_run_v2_service.this["europe-west1"] begins`) {
		t.Errorf("the service is deleted before the load balancer releases it:\n%s", strings.Join(steps, "\n"))
	}

	steps = w.apply(gcf(`  regions = ["us-central1"]` + "\n" + domain))
	if !before(steps, backend, "delete module.relay.google_compute_security_policy.this[0] begins") {
		t.Errorf("the rate limit is removed in this order, which Google refuses:\n%s", strings.Join(steps, "\n"))
	}

	steps = w.apply(gcf(`  regions = ["asia-northeast1", "us-central1"]` + "\n" + domain))
	for _, step := range steps {
		if strings.Contains(step, `["us-central1"]`) || strings.HasPrefix(step, "delete") {
			t.Errorf("adding a region would %s", step)
		}
	}

	calls, err := os.ReadFile(filepath.Join(w.dir, "gcloud"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(calls)), "\n")
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "token builds submit gs://my-project-123456-relay-") ||
		!strings.Contains(lines[0], "--pack=image=us-docker.pkg.dev/my-project-123456/relay/relay:") ||
		!strings.Contains(lines[0], "env=GOOGLE_FUNCTION_TARGET=Relay") {
		t.Errorf("gcloud calls, want one build of one image for all regions:\n%s", calls)
	}
	run(t, w.dir, w.terraform, "destroy", "-auto-approve", "-input=false", "-no-color")
}

// lambda returns a root module that calls the module lambda with arguments.
func lambda(arguments string) string {
	return `provider "aws" {
  region = "us-east-1"
}

module "relay" {
  source = "../lambda"

` + arguments + "}\n"
}

// The zip of a release is downloaded once for each region and verified; one with
// another checksum is not deployed.
func TestTerraformAppliesAZipFromARelease(t *testing.T) {
	w := newWorkspace(t)
	zip := []byte("not really a zip")
	downloads := 0
	server := httptest.NewServer(http.HandlerFunc(func(res http.ResponseWriter, _ *http.Request) {
		downloads++
		_, _ = res.Write(zip)
	}))
	defer server.Close()
	source := func(regions string, sum [sha256.Size]byte) string {
		return lambda(fmt.Sprintf("  regions = [%s]\n  package = { url = %q, sha256 = \"%x\" }\n",
			regions, server.URL+"/lambda-arm64.zip", sum))
	}
	w.apply(source(`"us-east-1"`, sha256.Sum256(zip)))
	files, err := filepath.Glob(filepath.Join(w.dir, ".terraform", "relay-relay-us-east-1-*.zip"))
	if err != nil || len(files) != 1 || downloads != 1 {
		t.Fatalf("%d downloads, files %q, %v; want one of each", downloads, files, err)
	}
	if got, err := os.ReadFile(files[0]); err != nil || string(got) != string(zip) {
		t.Errorf("downloaded %q, %v", got, err)
	}

	// On another machine, which has the state but not the file, nothing changes, and
	// a new region downloads for itself.
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if steps := w.apply(source(`"us-east-1"`, sha256.Sum256(zip))); len(steps) > 0 || downloads != 1 {
		t.Errorf("without the file: %d downloads more, steps %q; want none", downloads-1, steps)
	}
	steps := w.apply(source(`"us-east-1", "eu-west-3"`, sha256.Sum256(zip)))
	if downloads != 2 || slices.ContainsFunc(steps, func(s string) bool { return strings.Contains(s, "us-east-1") }) {
		t.Errorf("a new region: %d downloads more, steps %q; want 1, and none in us-east-1", downloads-1, steps)
	}

	write(t, filepath.Join(w.dir, "main.tf"), source(`"us-east-1", "eu-west-3"`, sha256.Sum256([]byte("another"))))
	cmd := exec.CommandContext(t.Context(), w.terraform, "apply", "-auto-approve", "-input=false", "-no-color")
	cmd.Dir = w.dir
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), fmt.Sprintf("has the SHA-256 %x", sha256.Sum256(zip))) ||
		strings.Contains(string(out), "aws_lambda_function.this[\"us-east-1\"]: Modifying") {
		t.Errorf("a zip with another checksum: %v\n%s", err, out)
	}
}

// A change between API Gateway and CloudFront updates the DNS records in place:
// Route 53 refuses a second record of the same name.
func TestTerraformChangesTheFrontOnAWS(t *testing.T) {
	w := newWorkspace(t)
	config := func(via string) string {
		return lambda(`  regions = ["us-east-1"]
  package = { path = "bin/gcloud" } # any file will do
  domain  = {
    name             = "relay.example.com"
    via              = "` + via + `"
    zone_id          = "Z0123"
    certificate_arns = { us-east-1 = "arn:aws:acm:us-east-1:123456789012:certificate/a" }
  }
`)
	}
	w.apply(config("api_gateway"))
	for _, via := range []string{"cloudfront", "api_gateway"} {
		steps := w.apply(config(via))
		for _, kind := range []string{"A", "AAAA"} {
			if !slices.Contains(steps, `update module.relay.aws_route53_record.this["us-east-1/`+kind+`"] ends`) {
				t.Errorf("to %s: steps %q", via, steps)
			}
		}
		if slices.ContainsFunc(steps, func(s string) bool {
			return strings.Contains(s, "aws_route53_record") && !strings.HasPrefix(s, "update ")
		}) {
			t.Errorf("to %s: records are created or deleted: %q", via, steps)
		}
	}
	run(t, w.dir, w.terraform, "destroy", "-auto-approve", "-input=false", "-no-color")
}

// Regions with a domain and alarms can be added and removed on AWS, and all of it
// can be destroyed.
func TestTerraformAppliesRegionsOnAWS(t *testing.T) {
	w := newWorkspace(t)
	config := func(regions ...string) string {
		return lambda(`  regions     = ["` + strings.Join(regions, `", "`) + `"]
  package     = { path = "bin/gcloud" } # any file will do
  alarm_email = "ops@example.com"
  domain      = { name = "relay.example.com", zone_id = "Z0123" }
`)
	}
	w.apply(config("us-east-1", "eu-west-3"))
	for _, step := range w.apply(config("eu-west-3")) {
		if !strings.HasPrefix(step, "delete ") || !strings.Contains(step, `["us-east-1`) {
			t.Errorf("removing a region would %s", step)
		}
	}
	for _, step := range w.apply(config("us-east-1", "eu-west-3")) {
		if !strings.HasPrefix(step, "create ") || !strings.Contains(step, `["us-east-1`) {
			t.Errorf("adding a region would %s", step)
		}
	}
	run(t, w.dir, w.terraform, "destroy", "-auto-approve", "-input=false", "-no-color")
}

// Regions change the dashboard in place, and another order of them does not at all.
func TestTerraformChangesRegionsOfADashboard(t *testing.T) {
	w := newWorkspace(t)
	config := func(regions ...string) string {
		return lambda(`  regions   = ["` + strings.Join(regions, `", "`) + `"]
  package   = { path = "bin/gcloud" } # any file will do
  dashboard = true
`)
	}
	const dashboard = "module.relay.aws_cloudwatch_dashboard.this[0]"
	if steps := w.apply(config("us-east-1", "eu-west-3")); !slices.Contains(steps, "create "+dashboard+" ends") {
		t.Errorf("there is no dashboard: %q", steps)
	}
	if steps := w.apply(config("eu-west-3", "us-east-1")); len(steps) > 0 {
		t.Errorf("another order of regions: %q, want nothing", steps)
	}
	for _, regions := range [][]string{{"eu-west-3", "ap-northeast-1", "us-east-1"}, {"us-east-1"}} {
		steps := w.apply(config(regions...))
		if !slices.Contains(steps, "update "+dashboard+" ends") {
			t.Errorf("to %q: %q, want the dashboard to be updated in place", regions, steps)
		}
	}
	run(t, w.dir, w.terraform, "destroy", "-auto-approve", "-input=false", "-no-color")
}

// With hashes in place of tokens, and a secret's name in place of the key, neither
// is in the state.
func TestTerraformAppliesWithoutASecretInTheState(t *testing.T) {
	w := newWorkspace(t)
	const token = "0123456789abcdef0123456789abcdef"
	t.Setenv("TF_VAR_access_tokens", fmt.Sprintf(`["sha256:%x"]`, sha256.Sum256([]byte(token))))
	write(t, filepath.Join(w.dir, "variables.tf"),
		"variable \"access_tokens\" {\n  type      = list(string)\n  sensitive = true\n}\n")
	w.apply(lambda(`  access_tokens  = var.access_tokens
  api_key_secret = "relay/openai"
  package        = { path = "bin/gcloud" }
`) + `output "endpoints" {
  value     = module.relay.endpoints
  sensitive = true
}
`)
	state, err := os.ReadFile(filepath.Join(w.dir, "terraform.tfstate"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(state), token) || strings.Contains(string(state), `"random_bytes"`) ||
		!strings.Contains(string(state), "RELAY_API_KEY_SECRET") {
		t.Errorf("the state has a token, or lacks the relay's settings:\n%s", state)
	}
}

// The recipe of docs/deploy.md: two applies that change the environment only. The
// outputs have the new token from the first one on.
func TestTerraformAppliesANewTokenFromTheEnvironment(t *testing.T) {
	w := newWorkspace(t)
	config := lambda(`  access_tokens = var.access_tokens
  package       = { path = "bin/gcloud" }
`) + `output "access_token" {
  value     = module.relay.access_token
  sensitive = true
}
`
	write(t, filepath.Join(w.dir, "variables.tf"),
		"variable \"access_tokens\" {\n  type      = list(string)\n  default   = []\n  sensitive = true\n}\n")
	token := func() string { return run(t, w.dir, w.terraform, "output", "-raw", "access_token") }
	hashes := func() string {
		t.Helper()
		state, err := os.ReadFile(filepath.Join(w.dir, "terraform.tfstate"))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(state), `"RELAY_ACCESS_TOKENS": "`)
		value, _, _ := strings.Cut(rest, `"`)
		return value
	}
	hash := func(token string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(token))) }
	old, fresh := "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
	t.Setenv("TF_VAR_access_tokens", fmt.Sprintf("[%q]", old))
	w.apply(config)
	if token() != old {
		t.Errorf("the output is %s, want %s", token(), old)
	}
	t.Setenv("TF_VAR_access_tokens", fmt.Sprintf("[%q, %q]", fresh, old))
	w.apply(config)
	if token() != fresh || hashes() != hash(fresh)+","+hash(old) {
		t.Errorf("with both tokens, the output is %s and the function has %s", token(), hashes())
	}
	t.Setenv("TF_VAR_access_tokens", fmt.Sprintf("[%q]", fresh))
	w.apply(config)
	if token() != fresh || hashes() != hash(fresh) {
		t.Errorf("with the new token, the output is %s and the function has %s", token(), hashes())
	}
}

// A name that is added, made anew or removed leaves the tokens of others alone, and no
// token reaches the function.
func TestTerraformRotatesOneNamedToken(t *testing.T) {
	w := newWorkspace(t)
	config := func(tokens string) string {
		return lambda("  tokens  = "+tokens+"\n  package = { path = \"bin/gcloud\" } # any file will do\n") +
			"output \"tokens\" {\n  value     = module.relay.tokens\n  sensitive = true\n}\n"
	}
	const resource = `module.relay.module.common.random_bytes.named["`
	changed := func(steps []string) (changed []string) {
		for _, step := range steps {
			if strings.Contains(step, "random_bytes") && strings.HasSuffix(step, "begins") {
				changed = append(changed, step)
			}
		}
		return changed
	}
	first := w.apply(config("{ alice = {}, bob = { per_minute = 60 } }"))
	if got := changed(first); len(got) != 3 { // one without a name is always there
		t.Fatalf("steps %q", got)
	}
	for _, test := range []struct{ tokens, want string }{
		{"{ alice = {}, bob = { per_minute = 60 }, carol = {} }", "create " + resource + `carol"] begins`},
		{"{ alice = { per_minute = 5 }, bob = {}, carol = {} }", ""},
		{"{ alice = { per_minute = 5 }, carol = {} }", "delete " + resource + `bob"] begins`},
	} {
		if got := strings.Join(changed(w.apply(config(test.tokens))), ","); got != test.want {
			t.Errorf("%s: %q, want %q", test.tokens, got, test.want)
		}
	}
	got := changed(w.apply(config("{ alice = { per_minute = 5 }, carol = {} }"), "-replace="+resource+`alice"]`))
	slices.Sort(got)
	want := []string{"create " + resource + `alice"] begins`, "delete " + resource + `alice"] begins`}
	if !slices.Equal(got, want) {
		t.Errorf("a rotation of alice's token: %q, want %q", got, want)
	}
	state, err := os.ReadFile(filepath.Join(w.dir, "terraform.tfstate"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(state), `"RELAY_ACCESS_TOKENS": "`)
	setting, _, _ := strings.Cut(rest, "\",\n")
	var tokens map[string]string
	if err := json.Unmarshal([]byte(run(t, w.dir, w.terraform, "output", "-json", "tokens")), &tokens); err != nil ||
		len(tokens) != 2 {
		t.Fatalf("the output has %d tokens: %v", len(tokens), err)
	}
	for name, token := range tokens {
		hash := fmt.Sprintf("%x", sha256.Sum256([]byte(token)))
		if len(token) == 0 || strings.Contains(setting, token) || !strings.Contains(setting, hash) ||
			!strings.Contains(setting, name) {
			t.Errorf("the function has for %s: %s", name, setting)
		}
	}
}

// A project on Vercel can be created, changed and destroyed.
func TestTerraformAppliesAProjectOnVercel(t *testing.T) {
	w := newWorkspace(t)
	config := func(arguments string) string {
		return `terraform {
  required_providers {
    vercel = { source = "vercel/vercel" }
  }
}

module "relay" {
  source = "../vercel"

` + arguments + "}\n"
	}
	w.apply(config(""))
	steps := w.apply(config(`  settings = { RELAY_MAX_STREAM_TIME = "4m" }
  domain   = { name = "relay.example.com" }
`))
	if !before(steps, "create module.relay.vercel_deployment.this ends",
		"delete module.relay.vercel_deployment.this begins") {
		t.Errorf("want the new deployment before the old one is deleted; steps:\n%s", strings.Join(steps, "\n"))
	}
	run(t, w.dir, w.terraform, "destroy", "-auto-approve", "-input=false", "-no-color")
}
