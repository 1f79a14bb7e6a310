// Command profile records what the relay spends its time on under the loads of
// bench, for the compiler: make dist builds the relay with it
// (https://go.dev/doc/pgo).
//
//	go run ./bench/profile [-for 10s] -out bench/relay.pgo
//
// This process is the relay; the upstream and the clients are others. It needs
// pprof, which comes with Go.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"time"

	"example.com/relay/bench/upstream"
	"example.com/relay/core"
	"example.com/relay/internal/load"
	"example.com/relay/internal/proc"
)

// Roles that this command plays in other processes.
const (
	roleUpstream = "upstream"
	roleClients  = "clients"
)

// clients are how many have a request under way at a time.
const clients = 16

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "profile:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 2 && args[0] == roleUpstream:
		return upstream.Serve(ctx, args[1], os.Stdout)
	case len(args) == 3 && args[0] == roleClients:
		return beClients(ctx, args[1], args[2])
	}
	flags := flag.NewFlagSet("profile", flag.ContinueOnError)
	out := flags.String("out", "", "`file` to write the profile to")
	length := flags.Duration("for", 10*time.Second, "`time` for each load")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *out == "" {
		return fmt.Errorf("say where to write: -out bench/relay.pgo")
	}
	dir, err := os.MkdirTemp("", "profile-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return record(ctx, dir, *length, *out)
}

// record puts the loads on a relay and writes the profile of all of them.
func record(ctx context.Context, dir string, length time.Duration, out string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	roots := filepath.Join(dir, "roots.pem")
	up, err := proc.Start(proc.Options{}, self, roleUpstream, roots)
	if err != nil {
		return err
	}
	defer up.Stop()
	line, err := up.Await(ctx, upstream.AddrPrefix)
	if err != nil {
		return err
	}
	if err := os.Setenv("SSL_CERT_FILE", roots); err != nil { // before anything asks for the system's
		return err
	}
	profile, err := os.Create(filepath.Join(dir, "cpu"))
	if err != nil {
		return err
	}
	defer profile.Close()
	if err := pprof.StartCPUProfile(profile); err != nil {
		return err
	}
	addrs := strings.Fields(line)
	for _, base := range []string{"http://" + addrs[0], "https://" + addrs[1]} { // which speaks HTTP/1.1
		if err := putLoads(ctx, self, base, length); err != nil {
			pprof.StopCPUProfile()
			return err
		}
	}
	pprof.StopCPUProfile()
	merge := exec.CommandContext(ctx, "go", "tool", "pprof", "-proto", "-output", out, profile.Name())
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
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: relay, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	go func() { _ = server.Serve(ln) }()
	defer server.Close()
	asking := exec.CommandContext(ctx, self, roleClients, ln.Addr().String(), length.String())
	asking.Stderr = os.Stderr
	return asking.Run()
}

// beClients asks for short answers, and for half as long for event streams.
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
