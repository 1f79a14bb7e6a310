package workerd

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// pinned is what npm is to install.
//
//go:embed npm/package.json npm/package-lock.json
var pinned embed.FS

// ErrMissing says that the program cannot be had here: there is no npm, or no
// registry, or none for this system.
var ErrMissing = errors.New("there is no workerd here")

// Install returns the program's path. The first call on a machine has npm install
// it into the user's cache, without running any script of a package.
var Install = sync.OnceValues(install)

func install() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w: no folder for it: %w", ErrMissing, err)
	}
	version, err := Version()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "relay", "workerd-"+version)
	if program, ok := programIn(dir); ok {
		return program, nil
	}
	if _, err := exec.LookPath("npm"); err != nil {
		return "", fmt.Errorf("%w, and no npm to install it with", ErrMissing)
	}
	// Packages of Go's tests run side by side: each installs for itself, and the
	// first one's stays.
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "installing-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh)
	for _, name := range []string{"package.json", "package-lock.json"} {
		b, err := pinned.ReadFile("npm/" + name)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(fresh, name), b, 0o644); err != nil {
			return "", err
		}
	}
	npm := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	npm.Dir = fresh
	if out, err := npm.CombinedOutput(); err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		return "", fmt.Errorf("%w: npm could not get it: %s", ErrMissing, first)
	}
	if err := os.Rename(fresh, dir); err != nil && !errors.Is(err, os.ErrExist) {
		if _, ok := programIn(dir); !ok {
			return "", err
		}
	}
	if program, ok := programIn(dir); ok {
		return program, nil
	}
	return "", fmt.Errorf("%w: npm has none that runs on this system", ErrMissing)
}

// programIn returns the program that npm put into dir, if it runs here. It is the
// one in the package for this system: that in node_modules/.bin is a script which
// starts it and does not end it.
func programIn(dir string) (string, bool) {
	found, _ := filepath.Glob(filepath.Join(dir, "node_modules", "@cloudflare", "workerd-*", "bin", "workerd*"))
	for _, program := range found {
		if exec.Command(program, "--version").Run() == nil {
			return program, true
		}
	}
	return "", false
}

// Version returns the version that is pinned.
func Version() (string, error) {
	b, err := pinned.ReadFile("npm/package.json")
	if err != nil {
		return "", err
	}
	var pack struct{ Dependencies map[string]string }
	if err := json.Unmarshal(b, &pack); err != nil {
		return "", err
	}
	return pack.Dependencies["workerd"], nil
}
