package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"strings"

	"example.com/relay/cloudflare"
	"example.com/relay/internal/proc"
	"example.com/relay/internal/workerd"
)

// worker is a Worker that only forwards.
//
//go:embed worker/worker.js
var worker []byte

// startWorker starts the worker on Cloudflare's runtime.
func startWorker(ctx context.Context, r *rig, w *row) (*running, error) {
	program, err := workerdProgram()
	if err != nil {
		return nil, err
	}
	dir, addr, err := r.place("worker")
	if err != nil {
		return nil, err
	}
	module := workerd.Worker{Module: worker, Address: addr, Bindings: map[string]string{"UPSTREAM": r.url(w.on)}}
	if w.on != plain {
		if module.Roots, err = os.ReadFile(r.roots); err != nil {
			return nil, err
		}
	}
	config, err := workerd.Write(dir, module)
	if err != nil {
		return nil, err
	}
	version, _ := proc.Output(ctx, program, "--version")
	opts := proc.Options{Dir: dir, Discard: true}
	return startAt(ctx, addr, strings.TrimPrefix(version, "workerd "), opts, program, "serve", config)
}

// startWorkerJS starts the relay for Cloudflare on the same.
func startWorkerJS(ctx context.Context, r *rig, w *row) (*running, error) {
	program, err := workerdProgram()
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

// workerdProgram returns the path of workerd, which npm installs.
func workerdProgram() (string, error) {
	program, err := workerd.Install()
	if errors.Is(err, workerd.ErrMissing) {
		err = fmt.Errorf("%w: %w", errNotInstalled, err)
	}
	return program, err
}
