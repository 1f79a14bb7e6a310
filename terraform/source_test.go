package terraform_test

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Terraform uploads to Vercel the files that the function is built from, and no
// secrets.
func TestVercelSourcePatterns(t *testing.T) {
	patterns := sourcePatterns(t)
	for _, file := range buildFiles(t) {
		if !matches(patterns, file) {
			t.Errorf("the function needs %s, which no pattern in vercel/source.tf matches", file)
		}
	}
	for _, file := range []string{
		".env", "terraform.tfvars", "terraform.tfstate", "core/.env", "core/secret.pem", "core/terraform.tfvars",
		"vercel/.env.local",
		"vercel/.vercel/project.json", "vercel/build/main.go", "cmd/relay/main.go",
		"terraform/examples/vercel/terraform.tfstate", "core/page/.env", "core/page/src/main.mjs",
	} {
		if matches(patterns, file) {
			t.Errorf("%s would be uploaded to Vercel", file)
		}
	}
}

// sourcePatterns returns the patterns of vercel/source.tf as regular expressions.
func sourcePatterns(t *testing.T) []*regexp.Regexp {
	t.Helper()
	source, err := os.ReadFile("vercel/source.tf")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(source), "source_patterns = [\n")
	list, _, _ = strings.Cut(list, "]")
	var patterns []*regexp.Regexp
	for line := range strings.Lines(list) {
		glob := strings.Trim(strings.TrimSpace(line), `",`)
		if glob == "" {
			continue
		}
		// fileset's globs: ** is any number of folders, * part of a name, {a,b} one of them.
		expression := strings.NewReplacer(
			".", `\.`, "**/", "([^/]+/)*", "*", "[^/]+", "{", "(", "}", ")", ",", "|",
		).Replace(glob)
		patterns = append(patterns, regexp.MustCompile("^"+expression+"$"))
	}
	if len(patterns) < 5 {
		t.Fatalf("found the patterns %v, want 5 or more", patterns)
	}
	return patterns
}

func matches(patterns []*regexp.Regexp, file string) bool {
	for _, p := range patterns {
		if p.MatchString(file) {
			return true
		}
	}
	return false
}

// buildFiles returns the files of this Go module that the function is built from.
func buildFiles(t *testing.T) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=Dir,GoFiles,EmbedFiles,Module", "./vercel")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	files := []string{"go.mod", "go.sum", "vercel/vercel.json"}
	for list := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			Dir                 string
			GoFiles, EmbedFiles []string
			Module              *struct {
				Dir  string
				Main bool
			}
		}
		if err := list.Decode(&p); err == io.EOF {
			return files
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Module == nil || !p.Module.Main {
			continue
		}
		for _, name := range append(p.GoFiles, p.EmbedFiles...) {
			file, err := filepath.Rel(p.Module.Dir, filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, filepath.ToSlash(file))
		}
	}
}
