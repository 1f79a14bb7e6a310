package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"example.com/relay/internal/build"
)

// resolveVersion returns the version to release: the given one, without v, or that of
// the repository at root. At a tag such as v1.2.3, without changed files, it is the
// tag's. Otherwise it is that of a development build: the source's with "-dev", the
// commit, and "dirty" if files have changed. Without git, it is the source's.
func resolveVersion(ctx context.Context, root, given string) (string, error) {
	if given != "" {
		version := strings.TrimPrefix(given, "v")
		return version, build.CheckVersion(version)
	}
	text, err := os.ReadFile(filepath.Join(root, build.VersionFile))
	if err != nil {
		return "", err
	}
	version, err := build.SourceVersion(text)
	if err != nil {
		return "", fmt.Errorf("%s: %w", build.VersionFile, err)
	}
	commit, ok := git(ctx, root, "rev-parse", "--short=12", "HEAD")
	if !ok {
		return version, build.CheckVersion(version)
	}
	changes, _ := git(ctx, root, "status", "--porcelain")
	if tag, ok := git(ctx, root, "describe", "--tags", "--exact-match", "--match", "v[0-9]*"); ok && changes == "" {
		return strings.TrimPrefix(tag, "v"), build.CheckVersion(strings.TrimPrefix(tag, "v"))
	}
	version = strings.TrimSuffix(version, "-dev") + "-dev+" + commit
	if changes != "" {
		version += ".dirty"
	}
	return version, build.CheckVersion(version)
}

// git runs a git command in the repository at root, and reports whether it succeeded.
// It does not if root is only a folder within another repository.
func git(ctx context.Context, root string, args ...string) (string, bool) {
	if _, err := os.Stat(filepath.Join(root, ".git")); err != nil {
		return "", false
	}
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = root
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err == nil
}
