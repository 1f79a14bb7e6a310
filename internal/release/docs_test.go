package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocumentsNameArtifacts checks that all that documents and modules download is in
// a release, and that docs/release.md lists it.
func TestDocumentsNameArtifacts(t *testing.T) {
	names := append([]string{sumsFile, imageFile, "gcf.zip", "worker.js", "lambda-arm64.zip", "lambda-amd64.zip"},
		serverFiles...)
	platforms, err := parsePlatforms(strings.Join(allPlatforms, ","))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range platforms {
		names = append(names, archiveName(p))
	}
	list := read(t, root, "docs", "release.md")
	for _, name := range names {
		if !strings.Contains(list, "`"+name+"`") {
			t.Errorf("docs/release.md does not list %s", name)
		}
	}
	// After a release's URL, or after the variable that has it.
	named := regexp.MustCompile(`(?:/releases/download/v[\d.]+/|\$release/)([\w.-]+)`)
	found := 0
	err = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".terraform" || d.Name() == "dist") {
			return filepath.SkipDir
		}
		if ext := filepath.Ext(file); ext != ".md" && ext != ".tf" {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, m := range named.FindAllSubmatch(text, -1) {
			found++
			if !slices.Contains(names, string(m[1])) {
				t.Errorf("%s downloads %s, which no release has", file, m[1])
			}
		}
		return nil
	})
	if err != nil || found < 6 {
		t.Errorf("found %d downloads, %v: does the expression still find them?", found, err)
	}
}
