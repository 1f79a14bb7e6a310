package main

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"example.com/relay/internal/proc"
)

// portkey is what npm is to install.
//
//go:embed portkey/package.json portkey/package-lock.json
var portkey embed.FS

const (
	portkeyPackage = "@portkey-ai/gateway"
	portkeyServer  = "node_modules/" + portkeyPackage + "/build/start-server.js"
)

// chatsOnly reports whether a contender takes part in short responses only. With the
// filler of other responses, Portkey responds with an error or ends the connection.
func (c contender) chatsOnly() bool { return c.name == namePortkey }

// startPortkey starts Portkey's gateway. Which provider a request is for, and where
// that is, each request says in headers.
func startPortkey(ctx context.Context, r *rig, w *row) (*running, error) {
	server, version, err := installPortkey(ctx)
	if err != nil {
		return nil, err
	}
	dir, addr, err := r.place("portkey")
	if err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(addr, ":")
	opts := proc.Options{Dir: dir, Discard: true, Env: []string{"NODE_ENV=production"}}
	c, err := startAt(ctx, addr, version, opts, "node", server, "--headless", "--port="+port)
	if err != nil {
		return nil, err
	}
	c.header = "X-Portkey-Provider: openai\r\nX-Portkey-Custom-Host: " + r.url(w.on) + "/v1\r\n"
	return c, nil
}

// installPortkey returns the path of the program and its version. The first call on a
// machine has npm install it into the user's cache, without running any script of a
// package.
func installPortkey(ctx context.Context) (server, version string, err error) {
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			return "", "", fmt.Errorf("%w: there is no %s here", errNotInstalled, name)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", "", fmt.Errorf("%w: no folder for it: %w", errNotInstalled, err)
	}
	manifest, err := portkey.ReadFile("portkey/package.json")
	if err != nil {
		return "", "", err
	}
	var pack struct{ Dependencies map[string]string }
	if err := json.Unmarshal(manifest, &pack); err != nil {
		return "", "", err
	}
	version = pack.Dependencies[portkeyPackage]
	dir := filepath.Join(cache, "relay", "portkey-"+version)
	server = filepath.Join(dir, portkeyServer)
	if _, err := os.Stat(server); err == nil {
		return server, version, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", "", err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "installing-")
	if err != nil {
		return "", "", err
	}
	defer os.RemoveAll(fresh)
	if err := installInto(ctx, fresh); err != nil {
		return "", "", err
	}
	return server, version, os.Rename(fresh, dir)
}

// installInto has npm install what is pinned into dir.
func installInto(ctx context.Context, dir string) error {
	for _, name := range []string{"package.json", "package-lock.json"} {
		b, err := portkey.ReadFile("portkey/" + name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return err
		}
	}
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		return fmt.Errorf("%w: npm could not get it: %s", errNotInstalled, first)
	}
	return nil
}
