//go:build linux

package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/relay/internal/relaytest"
)

// TestBuild proves the contract on what the real Vercel builds of what is
// uploaded to it, started as it is there. It needs the network only to install
// the command line.
func TestBuild(t *testing.T) {
	if testing.Short() {
		t.Skip("a real build")
	}
	lockPort(t)
	cli, dir := vercelCLI(t), copyRepository(t)
	function := build(t, cli, only(t, dir, append(upload(t, cli, dir), link)))
	checkFunction(t, function)
	t.Run("adapter", func(t *testing.T) {
		relaytest.TestAdapter(t, func(t *testing.T, environ []string) string {
			launchFunction(t, function, environ)
			return edge(t)
		}, relaytest.As("Vercel"))
	})
	t.Run("requests end", func(t *testing.T) { testEnds(t, function) })
}

// vercelCLI installs Vercel's own command line, as build/package-lock.json has
// it, into the user's cache, and returns the file for node to run. (Go would take
// the Go files in it for packages of this module if it were here.) Without node
// or the registry it skips the test.
func vercelCLI(t *testing.T) string {
	t.Helper()
	version, err := exec.CommandContext(t.Context(), "node", "-p", "process.versions.node.split('.')[0]").Output()
	if major, _ := strconv.Atoi(strings.TrimSpace(string(version))); err != nil || major < 20 {
		t.Skip("the real build needs node 20 or newer with npm")
	}
	pinned, err := os.ReadFile("build/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("the real build needs a folder for its tools: %v", err)
	}
	dir := filepath.Join(cache, "relay", fmt.Sprintf("vercel-cli-%x", sha256.Sum256(pinned))[:19])
	cli := filepath.Join(dir, "node_modules", "vercel", "dist", "vc.js")
	// npm writes this file last.
	if _, err := os.Stat(filepath.Join(dir, "node_modules", ".package-lock.json")); err == nil {
		return cli
	}
	if err := os.CopyFS(dir, os.DirFS("build")); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	// Not npm ci, which insists on packages for other systems: they are optional,
	// and not every registry has them. The lock holds for all others.
	npm := exec.CommandContext(t.Context(), "npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		if exec.CommandContext(t.Context(), "npm", "ping").Run() != nil {
			t.Skip("the real build needs the npm registry, which does not answer")
		}
		t.Fatalf("npm install: %v\n%s", err, out)
	}
	return cli
}

// vercelCommand returns a command of Vercel's command line in dir, for which
// nobody need be logged in.
func vercelCommand(t *testing.T, cli, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", append([]string{cli}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "VERCEL_TELEMETRY_DISABLED=1", "NO_UPDATE_NOTIFIER=1", "GOTOOLCHAIN=local")
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} { // they may follow HOME
		value, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, name+"="+strings.TrimSpace(string(value)))
	}
	return cmd
}

// build runs vercel build in dir and returns the folder of the function that
// came out.
func build(t *testing.T, cli, dir string) string {
	t.Helper()
	start := time.Now()
	out, err := vercelCommand(t, cli, dir, "build", "--prod", "--yes").CombinedOutput()
	if err != nil {
		t.Fatalf("vercel build: %v\n%s", err, out)
	}
	t.Logf("vercel build took %v\n%s", time.Since(start).Round(time.Millisecond), out)
	return filepath.Join(dir, ".vercel", "output", "functions", "go.func")
}

// checkFunction checks what Vercel would read of the function.
func checkFunction(t *testing.T, function string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(function, ".vc-config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Handler, Runtime          string
		MaxDuration               int
		Regions                   []string
		SupportsResponseStreaming bool
	}
	if err := json.Unmarshal(content, &config); err != nil {
		t.Fatal(err)
	}
	if config.Runtime != "executable" || config.Handler != "executable" || !config.SupportsResponseStreaming || config.MaxDuration != 300 || strings.Join(config.Regions, " ") != "iad1" {
		t.Errorf("the function is configured as %s", content)
	}
	routes, err := os.ReadFile(filepath.Join(function, "..", "..", "config.json"))
	if err != nil || !strings.Contains(string(routes), `"dest": "/go"`) {
		t.Errorf("routes: %v %s", err, routes)
	}
}

// testEnds tests that Vercel learns when requests end. (Of answers that break
// off its proxy says nothing: ReverseProxy panics, and the proxy does not expect
// it. Their connection tells.)
func testEnds(t *testing.T, function string) {
	u := relaytest.StartUpstream(t)
	l := launchFunction(t, function, []string{"RELAY_UPSTREAMS=" + u.URL})
	base := edge(t)
	for _, fault := range []string{"", "status=500"} {
		res, err := http.DefaultTransport.RoundTrip(chat(t, base, fault))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		select {
		case <-l.ended:
		case <-time.After(2 * time.Second):
			t.Errorf("%q: the proxy does not say that the request has ended", fault)
		}
	}
}
