package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"example.com/relay/bench/proc"
)

// errNotInstalled says that a contender is no part of this comparison.
var errNotInstalled = errors.New("not installed")

// A contender is a way to the upstream.
type contender struct {
	name  string
	start func(context.Context, *rig) (*running, error)
}

// Names of contenders that others are compared with.
const (
	nameDirect = "direct, no relay"
	nameRelay  = "relay serve"
	nameStock  = "stock httputil.ReverseProxy"
	nameNginx  = "nginx"
)

// contenders are all of them, in the order of the report.
var contenders = []contender{
	{nameDirect, startDirect},
	{nameRelay, func(ctx context.Context, r *rig) (*running, error) {
		return startRelay(ctx, r, proc.Options{Env: []string{"RELAY_LOG_LEVEL=off"}})
	}},
	{nameRelay + ", logging every request", func(ctx context.Context, r *rig) (*running, error) {
		return startRelay(ctx, r, proc.Options{Env: []string{"RELAY_LOG_LEVEL=info"}, Discard: true})
	}},
	{nameStock, startStock},
	{nameNginx, startNginx},
	{"Caddy", startCaddy},
}

// running is a contender that has been started.
type running struct {
	addr    string
	process *proc.Process // nil for direct
	version string        // of a program that is not this repository's
}

func (c *running) stop() {
	if c.process != nil {
		c.process.Stop()
	}
}

// usage returns what the contender has used, which is nothing for direct.
func (c *running) usage() (proc.Usage, error) {
	if c.process == nil {
		return proc.Usage{}, nil
	}
	return c.process.Usage()
}

func startDirect(_ context.Context, r *rig) (*running, error) {
	return &running{addr: r.upstream}, nil
}

func startRelay(ctx context.Context, r *rig, opts proc.Options) (*running, error) {
	opts.Env = append(opts.Env, "RELAY_UPSTREAMS=http://"+r.upstream)
	p, err := proc.Start(opts, r.relay, "serve", "-listen", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	base, err := p.Await(ctx, "base URL: http://")
	if err != nil {
		p.Stop()
		return nil, err
	}
	return &running{addr: strings.TrimSuffix(base, "/v1"), process: p}, nil
}

func startStock(ctx context.Context, r *rig) (*running, error) {
	p, err := proc.Start(proc.Options{}, r.self, roleStock, r.upstream)
	if err != nil {
		return nil, err
	}
	addr, err := p.Await(ctx, addrPrefix)
	if err != nil {
		p.Stop()
		return nil, err
	}
	return &running{addr: addr, process: p}, nil
}

// startAt starts a program that is told by its configuration to listen at addr.
func startAt(ctx context.Context, addr, version string, opts proc.Options, name string, args ...string) (*running, error) {
	p, err := proc.Start(opts, name, args...)
	if err != nil {
		return nil, err
	}
	if err := p.AwaitListening(ctx, addr); err != nil {
		p.Stop()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &running{addr: addr, process: p, version: version}, nil
}
