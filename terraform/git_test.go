package terraform_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// released are the arguments of a module from git, as in the modules' READMEs, in a
// folder with nothing else.
var released = map[string]string{
	"lambda": `
  package = {
    url    = "https://relay.example/lambda-arm64.zip"
    sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
  }
`,
	"gcf":    "  project = \"my-project-123456\"\n",
	"vercel": "",
	"cloudflare": `
  account_id            = "0123456789abcdef0123456789abcdef"
  workers_dev_subdomain = "my-account"
`,
}

// providers are mocks of each module's providers: OpenTofu refuses others.
var providers = map[string]string{
	"lambda":     "mock_provider \"aws\" {}\nmock_provider \"random\" {}\n",
	"gcf":        "mock_provider \"archive\" {}\nmock_provider \"google\" {}\nmock_provider \"random\" {}\n",
	"vercel":     "mock_provider \"random\" {}\nmock_provider \"vercel\" {}\n",
	"cloudflare": "mock_provider \"cloudflare\" {}\nmock_provider \"random\" {}\n",
}

// Each module can be planned from git, without a clone of this repository, and the
// plan has the source that the platform builds.
func TestTerraformFromGit(t *testing.T) {
	terraform, tree := tools(t)
	repository := gitRepository(t, tree)
	for _, module := range modules {
		t.Run(module, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, filepath.Join(dir, "main.tf"), `
terraform {
  required_providers {
    cloudflare = { source = "cloudflare/cloudflare" }
    vercel     = { source = "vercel/vercel" }
  }
}
module "relay" {
  source = "git::file://`+repository+`//terraform/`+module+`?ref=v1"
`+released[module]+`}
output "base_urls" {
  value = module.relay.base_urls
}
`)
			write(t, filepath.Join(dir, "tests", "plan.tftest.hcl"), `
`+providers[module]+`
run "a_plan" {
  command = plan
  assert {
    condition     = length(output.base_urls) == 1
    error_message = "There must be a URL."
  }
}
`)
			run(t, dir, terraform, "init", "-input=false", "-no-color")
			run(t, dir, terraform, "test", "-no-color")
		})
	}
}

// Without a package, the Lambda module's error names the files to download.
func TestTerraformNamesTheDownload(t *testing.T) {
	terraform, tree := tools(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "main.tf"), `
module "relay" {
  source = "git::file://`+gitRepository(t, tree)+`//terraform/lambda?ref=v1"
}
`)
	write(t, filepath.Join(dir, "tests", "plan.tftest.hcl"),
		providers["lambda"]+"run \"a_plan\" {\n  command = plan\n}\n")
	run(t, dir, terraform, "init", "-input=false", "-no-color")
	cmd := exec.CommandContext(t.Context(), terraform, "test", "-no-color")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	text := strings.Join(strings.Fields(strings.NewReplacer("│", "", "\n", " ").Replace(string(out))), " ")
	if err == nil || !strings.Contains(text, "lambda-arm64.zip") || !strings.Contains(text, "SHA256SUMS") {
		t.Errorf("a plan without a package: %v\n%s", err, out)
	}
}

// gitRepository returns the folder of a git repository with the tree's files, tagged
// v1.
func gitRepository(t *testing.T, tree string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "relay.git")
	git := func(args ...string) {
		t.Helper()
		run(t, tree, "git", append([]string{
			"--git-dir=" + dir, "--work-tree=" + tree,
			"-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false",
		}, args...)...)
	}
	git("init", "--quiet")
	git("add", "--", "terraform", "cloudflare", "core", "gcf", "vercel", "go.mod", "go.sum",
		":(exclude,glob)**/.terraform/**", ":(exclude,glob)**/gotests/**")
	git("commit", "--quiet", "--message", "release")
	git("tag", "v1")
	return dir
}

// tools returns terraform and the tree that make tf has prepared.
func tools(t *testing.T) (terraform, tree string) {
	t.Helper()
	terraform, tree = os.Getenv("RELAY_TERRAFORM"), os.Getenv("RELAY_TERRAFORM_TREE")
	if terraform == "" || tree == "" {
		// It takes terraform and its providers' schemas, which make tf provides.
		t.Skip("make tf runs this")
	}
	return terraform, tree
}

// write writes a file and creates its folders.
func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// run runs a command in dir, which must succeed, and returns its output.
func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out)
}
