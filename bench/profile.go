package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"time"

	"example.com/relay/bench/upstream"
	"example.com/relay/core"
	"example.com/relay/internal/load"
)

// profileSuite is what the flag -suite calls the profile.
const profileSuite = "profile"

// recordProfile puts loads like those of the suite relay on a relay in this
// process, and writes to -out what it spends its time on, for the compiler: make
// dist builds the relay with it (https://go.dev/doc/pgo). The upstream and the
// clients are other processes. It needs pprof, which comes with Go.
func recordProfile(ctx context.Context, opts options, progress io.Writer) error {
	if opts.out == "" {
		return errors.New("say where to write: -out bench/relay.pgo")
	}
	r, err := newRig(ctx, progress)
	if err != nil {
		return err
	}
	defer r.close()
	if err := os.Setenv("SSL_CERT_FILE", r.roots); err != nil { // before anything asks for the system's
		return err
	}
	length := 10 * time.Second
	if opts.quick {
		length = time.Second
	}
	profile, err := os.Create(filepath.Join(r.dir, "cpu"))
	if err != nil {
		return err
	}
	defer profile.Close()
	if err := pprof.StartCPUProfile(profile); err != nil {
		return err
	}
	for _, kind := range []string{plain, https1} {
		if err := putLoads(ctx, r.self, r.url(kind), length); err != nil {
			pprof.StopCPUProfile()
			return err
		}
	}
	pprof.StopCPUProfile()
	merge := exec.CommandContext(ctx, "go", "tool", "pprof", "-proto", "-output", opts.out, profile.Name())
	merge.Stderr = os.Stderr
	return merge.Run()
}

// putLoads has clients ask a relay before the upstream at base.
func putLoads(ctx context.Context, self, base string, length time.Duration) error {
	relay, err := core.New(core.Config{
		Upstreams:    []core.Secret{core.Secret(base)},
		AccessTokens: []core.Secret{upstream.Key},
		APIKey:       "sk-of-the-relay",
		Logger:       slog.New(slog.NewJSONHandler(io.Discard, nil)),
	})
	if err != nil {
		return err
	}
	server, err := serve(relay)
	if err != nil {
		return err
	}
	defer server.Close()
	asking := exec.CommandContext(ctx, self, roleClients, server.Addr, length.String())
	asking.Stderr = os.Stderr
	return asking.Run()
}

// beClients asks for short responses, and for half as long for event streams.
func beClients(ctx context.Context, addr, length string) error {
	d, err := time.ParseDuration(length)
	if err != nil {
		return err
	}
	for _, l := range []load.Load{
		{Addr: addr, Request: upstream.Chat.Request(addr), Clients: clients, For: d},
		{Addr: addr, Request: upstream.Events.Request(addr), Clients: clients, For: d / 2, Events: true},
	} {
		if got := l.Run(ctx); got.Failures > 0 || got.Requests == 0 {
			return fmt.Errorf("%d of %d requests failed: %w", got.Failures, got.Failures+got.Requests, got.Failure)
		}
	}
	return nil
}
