//go:build linux

package vercelbuild

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	release "example.com/relay/internal/build"
)

// A Function is the result of a build at Vercel.
type Function struct {
	Dir      string   // the function's own, in what Vercel calls the build output
	Uploaded []string // the files that it was built from
	Log      string   // the output of vercel build, and how long it took
}

// Build returns the function, built once per process, and holds Vercel's port
// until t ends; so t's subtests must not call it again. It skips t with -short, and
// if a tool is missing that the build needs.
func Build(t *testing.T) *Function {
	t.Helper()
	if testing.Short() {
		t.Skip("a real build")
	}
	lockPort(t)
	f, err := built()
	if err, ok := errors.AsType[missing](err); ok {
		t.Skipf("the real build needs %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// missing is the error that the build lacks something, such as a tool.
type missing string

func (m missing) Error() string { return string(m) }

var built = sync.OnceValues(func() (*Function, error) {
	root, err := release.Root(context.Background())
	if err != nil {
		return nil, err
	}
	vercel, err := install(filepath.Join(root, "vercel", "build"))
	if err != nil {
		return nil, err
	}
	if work, err = os.MkdirTemp("", "vercelbuild"); err != nil {
		return nil, err
	}
	all, uploaded := filepath.Join(work, "all"), filepath.Join(work, "uploaded")
	if err := clone(root, all); err != nil {
		return nil, err
	}
	files, err := upload(vercel, all)
	if err != nil {
		return nil, err
	}
	for _, name := range append([]string{link}, files...) {
		if err := copyFile(filepath.Join(uploaded, name), filepath.Join(all, name)); err != nil {
			return nil, err
		}
	}
	log, err := build(vercel, uploaded)
	if err != nil {
		return nil, err
	}
	return &Function{filepath.Join(uploaded, ".vercel", "output", "functions", "go.func"), files, log}, nil
})

// build runs vercel build in dir and returns what it wrote.
func build(vercel, dir string) (string, error) {
	start := time.Now()
	cmd, err := command(vercel, dir, "build", "--prod", "--yes")
	if err != nil {
		return "", err
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("vercel build: %w\n%s", err, out)
	}
	return fmt.Sprintf("vercel build took %v\n%s", time.Since(start).Round(time.Millisecond), out), nil
}

// command returns a command of Vercel's command line, run in dir without a login.
func command(vercel, dir string, args ...string) (*exec.Cmd, error) {
	cmd := exec.Command("node", append([]string{vercel}, args...)...)
	cmd.Dir = dir
	home, err := os.MkdirTemp(work, "home")
	if err != nil {
		return nil, err
	}
	cmd.Env = append(os.Environ(), "HOME="+home, "VERCEL_TELEMETRY_DISABLED=1", "NO_UPDATE_NOTIFIER=1",
		"GOTOOLCHAIN=local")
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} { // they may follow HOME
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			return nil, fmt.Errorf("go env %s: %w", name, err)
		}
		cmd.Env = append(cmd.Env, name+"="+strings.TrimSpace(string(value)))
	}
	return cmd, nil
}
