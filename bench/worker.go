package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"example.com/relay/bench/upstream"
	"example.com/relay/cloudflare"
	"example.com/relay/internal/load"
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
	return startWarm(ctx, w, addr, dir, program, config)
}

// Enough requests and events that V8 has compiled what is executed often. Before that,
// worker.js takes several times the CPU.
const (
	warmRequests = 10_000
	warmStreams  = 200
)

// startWarm starts workerd and warms it up.
func startWarm(ctx context.Context, w *row, addr, dir, program, config string) (*running, error) {
	version, _ := proc.Output(ctx, program, "--version")
	opts := proc.Options{Dir: dir, Discard: true}
	c, err := startAt(ctx, addr, strings.TrimPrefix(version, "workerd "), opts, program, "serve", config)
	if err != nil {
		return nil, err
	}
	for call, n := range map[upstream.Call]int{upstream.Chat: warmRequests, upstream.Events: warmStreams} {
		for got := 0; got < n; {
			l := load.Load{Addr: addr, Request: call.Request(addr), Clients: clients, For: warmInterval,
				Events: call == upstream.Events}
			done := l.Run(ctx)
			if got += done.Requests; done.Requests == 0 {
				c.stop()
				return nil, fmt.Errorf("%s, warming up: %w", w.name, errors.Join(ctx.Err(), done.Failure))
			}
		}
	}
	return c, nil
}

// warmInterval is how often the requests of the warm-up are counted.
const warmInterval = 200 * time.Millisecond

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
	return startWarm(ctx, w, addr, dir, program, config)
}

// workerdProgram returns the path of workerd, which npm installs.
func workerdProgram() (string, error) {
	program, err := workerd.Install()
	if errors.Is(err, workerd.ErrMissing) {
		err = fmt.Errorf("%w: %w", errNotInstalled, err)
	}
	return program, err
}
