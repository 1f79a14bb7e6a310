package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"example.com/relay/internal/build"
)

func TestResolveVersion(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, build.VersionFile)
	write := func(version string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("package core\n\nvar Version = \""+version+"\"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=T", "-c", "user.email=t@example.com", "-c",
			"commit.gpgsign=false"}, args...)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	expect := func(when, given, want string) {
		t.Helper()
		if got, err := resolveVersion(t.Context(), dir, given); err != nil || got != want {
			t.Errorf("%s: version %q, %v; want %q", when, got, err, want)
		}
	}
	write("1.2.0-dev")
	expect("no git", "", "1.2.0-dev")
	expect("given", "v3.4.5", "3.4.5")
	git("init", "-q")
	git("add", ".")
	git("commit", "-qm", "one")
	head := func() string { return git("rev-parse", "--short=12", "HEAD") }
	expect("no tag", "", "1.2.0-dev+"+head())
	write("1.2.0")
	expect("changed", "", "1.2.0-dev+"+head()+".dirty")
	git("commit", "-qam", "two")
	git("tag", "-m", "two", "v1.2.0")
	git("tag", "other")
	expect("tag", "", "1.2.0")
	write("1.3.0-dev")
	expect("tag, and changed", "", "1.3.0-dev+"+head()+".dirty")
	git("commit", "-qam", "three")
	expect("after a tag", "", "1.3.0-dev+"+head())
	git("tag", "vNext")
	expect("tag that is no version", "", "1.3.0-dev+"+head())
	git("tag", "v2")
	if got, err := resolveVersion(t.Context(), dir, ""); err == nil {
		t.Errorf("the tag v2 is the version %q", got)
	}
	for _, bad := range []string{"latest", "1.2", "1.2.3 -X main.x=y", "1.2.3\n", "v", `1.2.3"`} {
		if got, err := resolveVersion(t.Context(), dir, bad); err == nil {
			t.Errorf("%q is taken for the version %q", bad, got)
		}
	}
}
