package terraform_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

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
			write(t, filepath.Join(dir, "providers.tf"), `
terraform {
  required_providers {
    cloudflare = { source = "cloudflare/cloudflare" }
    vercel     = { source = "vercel/vercel" }
  }
}
`)
			download(t, dir)
			runRecipe(t, dir, "common.tf", repository)
			runRecipe(t, dir, "main.tf", repository, "//terraform/"+module+"?ref=")
			write(t, filepath.Join(dir, "tests", "plan.tftest.hcl"), `
`+providers[module]+`
run "a_plan" {
  command = plan
  assert {
    condition     = length(output.base_urls) > 0
    error_message = "There must be a URL."
  }
}
`)
			run(t, dir, terraform, "init", "-input=false", "-no-color")
			run(t, dir, terraform, "test", "-no-color")
		})
	}
}

// download puts what docs/deploy.md downloads into a folder, so far as a plan
// needs it.
func download(t *testing.T, dir string) {
	t.Helper()
	const sum = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	write(t, filepath.Join(dir, "SHA256SUMS"), sum+"  lambda-arm64.zip\n"+sum+"  lambda-arm64.zip.cdx.json\n")
	worker, err := os.ReadFile("../cloudflare/worker.js")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "worker.js"), string(worker))
}

// runRecipe runs the command of docs/deploy.md that writes a file and holds all of
// the texts, in a folder, with the modules of a repository.
func runRecipe(t *testing.T, dir, file, repository string, holds ...string) {
	t.Helper()
	text, err := os.ReadFile("../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, command := range regexp.MustCompile(`(?ms)^cat > (\S+) `+
		`<<'?EOF'?\n.*?^EOF$`).FindAllStringSubmatch(string(text), -1) {
		missing := func(part string) bool { return !strings.Contains(command[0], part) }
		if command[1] == file && !slices.ContainsFunc(holds, missing) {
			found = append(found, command[0])
		}
	}
	if len(found) != 1 {
		t.Fatalf("docs/deploy.md writes %s with %q %d times, want once", file, holds, len(found))
	}
	const source, ref = "git::https://github.com/OWNER/relay//", "?ref=v1.0.0"
	if len(holds) > 0 && (strings.Count(found[0], source) != 1 || strings.Count(found[0], ref) != 1) {
		t.Fatalf("the module is not from %s…%s:\n%s", source, ref, found[0])
	}
	command := strings.NewReplacer(source, "git::file://"+repository+"//", ref, "?ref=v1",
		`"…"`, `"0123456789abcdef0123456789abcdef"`).Replace(found[0]) // the account's id
	cmd := exec.CommandContext(t.Context(), "bash", "-euc", command)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "release=https://relay.example/v1.0.0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, command, out)
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
