package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"strings"

	"example.com/relay/internal/proc"
	"example.com/relay/internal/workerd"
)

// worker is a Worker that only forwards.
//
//go:embed worker/worker.js
var worker []byte

// startWorker starts the worker on Cloudflare's runtime.
func startWorker(ctx context.Context, r *rig, w *row) (*running, error) {
	program, err := workerd.Install()
	if errors.Is(err, workerd.ErrMissing) {
		err = fmt.Errorf("%w: %w", errNotInstalled, err)
	}
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
