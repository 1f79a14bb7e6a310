package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestWorkflowsArePinned checks that actions are pinned by commit, since tags can move,
// and that workflows may only read unless a job requests more. actionlint checks
// everything else.
func TestWorkflowsArePinned(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, ".github", "workflows", "*.yml"))
	if err != nil || len(files) < 2 {
		t.Fatalf("workflows %q, %v", files, err)
	}
	uses := regexp.MustCompile(`(?m)^\s*(?:- )?uses: (\S+)(.*)$`)
	pinned := regexp.MustCompile(`^[\w./-]+@[0-9a-f]{40}$`)
	versions := make(map[string]string)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "\npermissions:\n  contents: read\n") {
			t.Errorf("%s may do more than read, or less", file)
		}
		for _, m := range uses.FindAllStringSubmatch(string(text), -1) {
			if strings.HasPrefix(m[1], "./") {
				continue
			}
			name, _, _ := strings.Cut(m[1], "@")
			if !pinned.MatchString(m[1]) || !strings.HasPrefix(m[2], " # v") {
				t.Errorf("%s: %s%s is not pinned by commit and followed by its version", file, m[1], m[2])
			}
			if other, ok := versions[name]; ok && other != m[1] {
				t.Errorf("%s is used as %s and as %s", name, other, m[1])
			}
			versions[name] = m[1]
		}
	}
	if len(versions) == 0 {
		t.Error("no action is used")
	}
}
