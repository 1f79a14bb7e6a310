//go:build linux

package vercelbuild

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// install installs Vercel's own command line, as package-lock.json in pinned has
// it, into the user's cache, and returns the file for node to run. (Go would take
// the Go files in it for packages of this module if it were here.)
func install(pinned string) (string, error) {
	version, err := exec.Command("node", "-p", "process.versions.node.split('.')[0]").Output()
	if major, _ := strconv.Atoi(strings.TrimSpace(string(version))); err != nil || major < 20 {
		return "", missing("node 20 or newer with npm")
	}
	lock, err := os.ReadFile(filepath.Join(pinned, "package-lock.json"))
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", missing("a folder for its tools: " + err.Error())
	}
	dir := filepath.Join(cache, "relay", fmt.Sprintf("vercel-cli-%x", sha256.Sum256(lock))[:19])
	vercel := filepath.Join(dir, "node_modules", "vercel", "dist", "vc.js")
	// npm writes this file last.
	if _, err := os.Stat(filepath.Join(dir, "node_modules", ".package-lock.json")); err == nil {
		return vercel, nil
	}
	if err := os.CopyFS(dir, os.DirFS(pinned)); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	// Not npm ci, which insists on packages for other systems: they are optional,
	// and not every registry has them. The lock holds for all others.
	npm := exec.Command("npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund",
		"--loglevel=error")
	npm.Dir = dir
	out, err := npm.CombinedOutput()
	switch {
	case err == nil:
		return vercel, nil
	case errors.Is(err, exec.ErrNotFound):
		return "", missing("npm beside node")
	case exec.Command("npm", "ping").Run() != nil:
		return "", missing("the npm registry, which cannot be reached")
	}
	return "", fmt.Errorf("npm install: %w\n%s", err, out)
}
