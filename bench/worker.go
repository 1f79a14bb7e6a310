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

	"example.com/relay/cloudflare"
	"example.com/relay/internal/proc"
	"example.com/relay/internal/workerd"
)

// workerFiles are the worker, and what npm needs to know.
//
//go:embed worker/worker.js worker/package.json worker/package-lock.json
var workerFiles embed.FS

// workerConfig has workerd serve the worker. Its arguments are the options of
// TLS, the address, the upstream's base URL.
const workerConfig = `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .relay),
    (name = "internet", network = (allow = ["public", "private", "local"]%s)),
  ],
  sockets = [(name = "http", address = %q, http = (), service = "main")],
);

const relay :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "2026-11-01",
  bindings = [(name = "UPSTREAM", text = %q)],
);
`

// startWorker starts the worker on what Cloudflare runs workers on, which comes
// from npm the first time.
func startWorker(ctx context.Context, r *rig, w *row) (*running, error) {
	program, err := workerdProgram(ctx, r)
	if err != nil {
		return nil, err
	}
	dir, addr, err := r.place("worker")
	if err != nil {
		return nil, err
	}
	if err := writeWorkerFiles(dir, "worker.js"); err != nil {
		return nil, err
	}
	trust := ""
	if w.on != plain {
		pem, err := os.ReadFile(r.roots)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, "roots.pem"), pem, 0o600); err != nil {
			return nil, err
		}
		trust = `, tlsOptions = (trustedCertificates = [embed "roots.pem"])`
	}
	config := filepath.Join(dir, "config.capnp")
	if err := os.WriteFile(config, fmt.Appendf(nil, workerConfig, trust, addr, r.url(w.on)), 0o600); err != nil {
		return nil, err
	}
	version, _ := proc.Output(ctx, program, "--version")
	return startAt(ctx, addr, strings.TrimPrefix(version, "workerd "), proc.Options{Dir: dir, Discard: true}, program, "serve", config)
}

// startWorkerJS starts the relay for Cloudflare on the same.
func startWorkerJS(ctx context.Context, r *rig, w *row) (*running, error) {
	program, err := workerdProgram(ctx, r)
	if err != nil {
		return nil, err
	}
	dir, addr, err := r.place("worker.js")
	if err != nil {
		return nil, err
	}
	module, err := cloudflare.Module()
	if err != nil {
		return nil, err
	}
	bindings := map[string]string{"RELAY_UPSTREAMS": r.url(w.on)}
	for _, setting := range wholeContract {
		name, value, _ := strings.Cut(setting, "=")
		bindings[name] = value
	}
	config, err := workerd.Write(dir, workerd.Worker{Module: module, Bindings: bindings, Address: addr})
	if err != nil {
		return nil, err
	}
	version, _ := proc.Output(ctx, program, "--version")
	return startAt(ctx, addr, strings.TrimPrefix(version, "workerd "), proc.Options{Dir: dir, Discard: true}, program, "serve", config)
}

// workerdProgram returns the path of workerd, which is kept in the user's cache.
func workerdProgram(ctx context.Context, r *rig) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w: no place for what npm brings: %w", errNotInstalled, err)
	}
	version, err := workerdVersion()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "relay-bench", "workerd-"+version)
	if program, err := workerdIn(ctx, dir); err == nil {
		return program, nil
	}
	if err := installWorkerd(ctx, r, dir); err != nil {
		return "", err
	}
	return workerdIn(ctx, dir)
}

// installWorkerd has npm install workerd in dir, without running its scripts.
func installWorkerd(ctx context.Context, r *rig, dir string) error {
	if _, err := exec.LookPath("npm"); err != nil {
		return fmt.Errorf("%w, and there is no npm to install it with", errNotInstalled)
	}
	r.say("installing workerd in %s", dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := writeWorkerFiles(dir, "package.json", "package-lock.json"); err != nil {
		return err
	}
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: npm could not get it: %s", errNotInstalled, firstLine(out))
	}
	return nil
}

// workerdIn returns the program that npm put into dir, if it runs here. It is
// that in the package for this platform: the one in node_modules/.bin is a
// script that starts it and does not end it.
func workerdIn(ctx context.Context, dir string) (string, error) {
	found, err := filepath.Glob(filepath.Join(dir, "node_modules", "@cloudflare", "workerd-*", "bin", "workerd"))
	if err != nil {
		return "", err
	}
	for _, program := range found {
		if exec.CommandContext(ctx, program, "--version").Run() == nil {
			return program, nil
		}
	}
	return "", fmt.Errorf("%w: npm has none that runs here", errNotInstalled)
}

// workerdVersion returns the version in package.json.
func workerdVersion() (string, error) {
	b, err := workerFiles.ReadFile("worker/package.json")
	if err != nil {
		return "", err
	}
	var pack struct{ Dependencies map[string]string }
	if err := json.Unmarshal(b, &pack); err != nil {
		return "", err
	}
	return pack.Dependencies["workerd"], nil
}

// writeWorkerFiles writes some of the files into dir.
func writeWorkerFiles(dir string, names ...string) error {
	for _, name := range names {
		b, err := workerFiles.ReadFile("worker/" + name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// firstLine returns the first line of what a program printed.
func firstLine(out []byte) string {
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return first
}
