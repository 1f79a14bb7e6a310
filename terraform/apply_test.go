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

// A workspace is a root module over made-up clouds that keep what they are
// told: what terraform does there, it does in the order of a real apply.
type workspace struct {
	t              *testing.T
	terraform, dir string
}

// newWorkspace returns an empty workspace beside the modules. gcloud is a
// stand-in there, which lists its calls in the file gcloud.
func newWorkspace(t *testing.T) *workspace {
	t.Helper()
	terraform, tree := tools(t)
	if os.Getenv("RELAY_TERRAFORM_ECHO") == "" {
		t.Skip("an apply needs providers that make clouds up: make tf TF_MIRROR=… has them")
	}
	dir, err := os.MkdirTemp(filepath.Join(tree, "terraform"), "apply")
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "bin")
	write(t, filepath.Join(bin, "gcloud"), "#!/bin/sh\ncase $1 in auth) echo token ;; *) echo \"$CLOUDSDK_AUTH_ACCESS_TOKEN $*\" >>'"+filepath.Join(dir, "gcloud")+"' ;; esac\n")
	if err := os.Chmod(filepath.Join(bin, "gcloud"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	return &workspace{t, terraform, dir}
}

// apply makes config so and returns what was begun and completed, in order, as
// "update module.relay.google_….this[0] begins" and "… ends".
func (w *workspace) apply(config string) (steps []string) {
	w.t.Helper()
	write(w.t, filepath.Join(w.dir, "main.tf"), config)
	run(w.t, w.dir, w.terraform, "init", "-input=false", "-no-color")
	for line := range strings.Lines(run(w.t, w.dir, w.terraform, "apply", "-auto-approve", "-input=false", "-json")) {
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

// before reports whether both steps were taken, first before second.
func before(steps []string, first, second string) bool {
	i, j := slices.Index(steps, first), slices.Index(steps, second)
	return i >= 0 && j >= 0 && i < j
}

func gcf(arguments string) string {
	return "provider \"google\" {\n  project = \"my-project-123456\"\n}\n\nmodule \"relay\" {\n  source = \"../gcf\"\n\n  project = \"my-project-123456\"\n" + arguments + "}\n"
}

// On the day that a region is sick, it is taken out, and so may be the rate
// limit: the load balancer lets go of both before Google deletes them.
func TestTerraformAppliesTheWorstDayOnGoogle(t *testing.T) {
	w := newWorkspace(t)
	const backend = "update module.relay.google_compute_backend_service.this[0] ends"
	w.apply(gcf("  regions = [\"us-central1\", \"europe-west1\"]\n  domain = { name = \"relay.example.com\", requests_per_minute = 600 }\n"))

	steps := w.apply(gcf("  regions = [\"us-central1\"]\n  domain = { name = \"relay.example.com\", requests_per_minute = 600 }\n"))
	gone := `delete module.relay.google_compute_region_network_endpoint_group.this["europe-west1"] begins`
	if !before(steps, backend, gone) {
		t.Errorf("a region is taken out in this order, in which Google refuses:\n%s", strings.Join(steps, "\n"))
	}
	if !before(steps, strings.Replace(gone, "begins", "ends", 1), `delete module.relay.google_cloud_run_v2_service.this["europe-west1"] begins`) {
		t.Errorf("the service goes before the load balancer lets go of it:\n%s", strings.Join(steps, "\n"))
	}

	steps = w.apply(gcf("  regions = [\"us-central1\"]\n  domain = { name = \"relay.example.com\" }\n"))
	if !before(steps, backend, "delete module.relay.google_compute_security_policy.this[0] begins") {
		t.Errorf("the rate limit is dropped in this order, in which Google refuses:\n%s", strings.Join(steps, "\n"))
	}

	steps = w.apply(gcf("  regions = [\"asia-northeast1\", \"us-central1\"]\n  domain = { name = \"relay.example.com\" }\n"))
	for _, step := range steps {
		if strings.Contains(step, `["us-central1"]`) || strings.HasPrefix(step, "delete") {
			t.Errorf("another region would %s", step)
		}
	}

	calls, err := os.ReadFile(filepath.Join(w.dir, "gcloud"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(calls)), "\n")
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "token builds submit gs://my-project-123456-relay-") ||
		!strings.Contains(lines[0], "--pack=image=us-docker.pkg.dev/my-project-123456/relay/relay:") || !strings.Contains(lines[0], "env=GOOGLE_FUNCTION_TARGET=Relay") {
		t.Errorf("gcloud was called so, want one build of one image for all regions:\n%s", calls)
	}
	run(t, w.dir, w.terraform, "destroy", "-auto-approve", "-input=false", "-no-color")
}

func lambda(arguments string) string {
	return "provider \"aws\" {\n  region = \"us-east-1\"\n}\n\nmodule \"relay\" {\n  source = \"../lambda\"\n\n" + arguments + "}\n"
}

// A zip of a release is fetched once for each region and checked; another zip
// than was meant is not deployed.
func TestTerraformAppliesAZipFromARelease(t *testing.T) {
	w := newWorkspace(t)
	zip := []byte("not really a zip")
	fetched := 0
	server := httptest.NewServer(http.HandlerFunc(func(res http.ResponseWriter, _ *http.Request) {
		fetched++
		_, _ = res.Write(zip)
	}))
	defer server.Close()
	source := func(regions string, sum [sha256.Size]byte) string {
		return lambda(fmt.Sprintf("  regions = [%s]\n  package = { url = %q, sha256 = \"%x\" }\n", regions, server.URL+"/lambda-arm64.zip", sum))
	}
	w.apply(source(`"us-east-1"`, sha256.Sum256(zip)))
	files, err := filepath.Glob(filepath.Join(w.dir, ".terraform", "relay-relay-us-east-1-*.zip"))
	if err != nil || len(files) != 1 || fetched != 1 {
		t.Fatalf("fetched %d times, there are %q, %v", fetched, files, err)
	}
	if got, err := os.ReadFile(files[0]); err != nil || string(got) != string(zip) {
		t.Errorf("fetched %q, %v", got, err)
	}

	// On another machine, which has the state and not the file, nothing changes,
	// and another region fetches for itself.
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if steps := w.apply(source(`"us-east-1"`, sha256.Sum256(zip))); len(steps) > 0 || fetched != 1 {
		t.Errorf("without the file, terraform would fetch it %d times and %q", fetched-1, steps)
	}
	if steps := w.apply(source(`"us-east-1", "eu-west-3"`, sha256.Sum256(zip))); fetched != 2 || slices.ContainsFunc(steps, func(s string) bool { return strings.Contains(s, "us-east-1") }) {
		t.Errorf("another region fetched it %d times and did %q", fetched-1, steps)
	}

	write(t, filepath.Join(w.dir, "main.tf"), source(`"us-east-1", "eu-west-3"`, sha256.Sum256([]byte("another"))))
	cmd := exec.CommandContext(t.Context(), w.terraform, "apply", "-auto-approve", "-input=false", "-no-color")
	cmd.Dir = w.dir
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), fmt.Sprintf("has the SHA-256 %x", sha256.Sum256(zip))) || strings.Contains(string(out), "aws_lambda_function.this[\"us-east-1\"]: Modifying") {
		t.Errorf("another zip than was meant: %v\n%s", err, out)
	}
}

// A change between API Gateway and CloudFront changes the records that there
// are: Route 53 would refuse others beside them.
func TestTerraformAppliesAnotherWayInFront(t *testing.T) {
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
				t.Errorf("to %s, terraform does %q", via, steps)
			}
		}
		if slices.ContainsFunc(steps, func(s string) bool {
			return strings.Contains(s, "aws_route53_record") && !strings.HasPrefix(s, "update ")
		}) {
			t.Errorf("to %s, records are made or deleted: %q", via, steps)
		}
	}
	run(t, w.dir, w.terraform, "destroy", "-auto-approve", "-input=false", "-no-color")
}

// Regions come and go on AWS, with a domain and alarms, and all of it can be
// destroyed.
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
			t.Errorf("a region is taken out, and terraform does %s", step)
		}
	}
	for _, step := range w.apply(config("us-east-1", "eu-west-3")) {
		if !strings.HasPrefix(step, "create ") || !strings.Contains(step, `["us-east-1`) {
			t.Errorf("a region is added, and terraform does %s", step)
		}
	}
	run(t, w.dir, w.terraform, "destroy", "-auto-approve", "-input=false", "-no-color")
}

// With hashes, and a secret's name in place of the key, neither is in the
// state, nor in what an apply prints.
func TestTerraformAppliesWithoutASecretInTheState(t *testing.T) {
	w := newWorkspace(t)
	const token = "0123456789abcdef0123456789abcdef"
	t.Setenv("TF_VAR_access_tokens", fmt.Sprintf(`["sha256:%x"]`, sha256.Sum256([]byte(token))))
	write(t, filepath.Join(w.dir, "variables.tf"), "variable \"access_tokens\" {\n  type      = list(string)\n  sensitive = true\n}\n")
	w.apply(lambda("  access_tokens  = var.access_tokens\n  api_key_secret = \"relay/openai\"\n  package        = { path = \"bin/gcloud\" }\n") +
		"output \"endpoints\" {\n  value     = module.relay.endpoints\n  sensitive = true\n}\n")
	state, err := os.ReadFile(filepath.Join(w.dir, "terraform.tfstate"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(state), token) || strings.Contains(string(state), `"random_bytes"`) || !strings.Contains(string(state), "RELAY_API_KEY_SECRET") {
		t.Errorf("the state has a token, or is none of this relay:\n%s", state)
	}
}

// The recipe of docs/deploy.md: two applies, by the environment alone, and the
// outputs give the new token from the first one on.
func TestTerraformAppliesANewTokenFromTheEnvironment(t *testing.T) {
	w := newWorkspace(t)
	config := lambda("  access_tokens = var.access_tokens\n  package = { path = \"bin/gcloud\" }\n") + "output \"access_token\" {\n  value     = module.relay.access_token\n  sensitive = true\n}\n"
	write(t, filepath.Join(w.dir, "variables.tf"), "variable \"access_tokens\" {\n  type      = list(string)\n  default   = []\n  sensitive = true\n}\n")
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
		t.Errorf("%s is given out, want %s", token(), old)
	}
	t.Setenv("TF_VAR_access_tokens", fmt.Sprintf("[%q, %q]", fresh, old))
	w.apply(config)
	if token() != fresh || hashes() != hash(fresh)+","+hash(old) {
		t.Errorf("with both tokens, %s is given out and the function has %s", token(), hashes())
	}
	t.Setenv("TF_VAR_access_tokens", fmt.Sprintf("[%q]", fresh))
	w.apply(config)
	if token() != fresh || hashes() != hash(fresh) {
		t.Errorf("with the new token, %s is given out and the function has %s", token(), hashes())
	}
}

// A project on Vercel can be made, changed and destroyed.
func TestTerraformAppliesAProjectOnVercel(t *testing.T) {
	w := newWorkspace(t)
	config := func(arguments string) string {
		return "terraform {\n  required_providers {\n    vercel = { source = \"vercel/vercel\" }\n  }\n}\n\nmodule \"relay\" {\n  source = \"../vercel\"\n\n" + arguments + "}\n"
	}
	w.apply(config(""))
	steps := w.apply(config("  settings = { RELAY_MAX_STREAM_TIME = \"4m\" }\n  domain = { name = \"relay.example.com\" }\n"))
	if !before(steps, "create module.relay.vercel_deployment.this ends", "delete module.relay.vercel_deployment.this begins") {
		t.Errorf("a new setting is deployed in this order, with a gap or not at all:\n%s", strings.Join(steps, "\n"))
	}
	run(t, w.dir, w.terraform, "destroy", "-auto-approve", "-input=false", "-no-color")
}
