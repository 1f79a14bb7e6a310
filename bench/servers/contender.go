package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"time"

	program "example.com/relay/internal/build"
	"example.com/relay/internal/proc"
)

// A contender is a server that relays, of those that a platform starts.
type contender struct {
	platform, name, pkg string
	env                 func(upstream string) []string
}

const (
	gcf    = "Google Cloud Functions"
	vercel = "Vercel"
)

// contenders are all of them, in the order of the report: for each platform the
// relay, then what a user could have instead.
var contenders = []contender{
	{gcf, "relay", "example.com/relay/gcf/cmd", onGCF(relayEnv)},
	{gcf, "functions-framework-go + ReverseProxy", "example.com/relay/bench/servers/stockgcf", onGCF(stockEnv)},
	{vercel, "relay", "example.com/relay/vercel", relayEnv},
	{vercel, "net/http + ReverseProxy", "example.com/relay/bench/servers/stockserver", stockEnv},
}

// relayEnv leaves everything else as it is by default: it logs every request.
func relayEnv(upstream string) []string { return []string{"RELAY_UPSTREAMS=" + upstream} }

func stockEnv(upstream string) []string { return []string{"UPSTREAM=" + upstream} }

// onGCF adds what makes the framework do what it does on the platform. A
// program that names its function itself overrides FUNCTION_TARGET.
func onGCF(env func(string) []string) func(string) []string {
	return func(upstream string) []string {
		return append(env(upstream), "K_SERVICE=bench", "FUNCTION_TARGET=Proxy")
	}
}

// A build is a contender's executable.
type build struct {
	file     string
	size     int64
	versions string // of the libraries that it is made of
}

// buildIn builds c in dir for this machine, as make dist would.
func (c contender) buildIn(ctx context.Context, dir string) (*build, error) {
	b := &build{file: filepath.Join(dir, filepath.Base(filepath.Dir(c.pkg))+"-"+filepath.Base(c.pkg))}
	if err := (program.Program{Package: c.pkg}).Build(ctx, program.Target{}, b.file); err != nil {
		return nil, err
	}
	info, err := os.Stat(b.file)
	if err != nil {
		return nil, err
	}
	b.size = info.Size()
	b.versions, err = program.Versions(b.file)
	return b, err
}

// A server is a running contender. It must be killed.
type server struct {
	*proc.Process
	addr  string
	start time.Duration // from exec to the first connection that was taken
}

// pollGap is how long the client waits between attempts to connect to a server
// that starts: less would take time from the server.
const pollGap = 100 * time.Microsecond

// serve starts a contender in front of upstream and waits until it listens.
func (w *row) serve(ctx context.Context, upstream string) (s *server, err error) {
	for range 3 { // somebody else may take the port meanwhile
		if s, err = w.tryServe(ctx, upstream); err == nil {
			return s, nil
		}
	}
	return nil, err
}

func (w *row) tryServe(ctx context.Context, upstream string) (*server, error) {
	addr, err := proc.FreeAddr()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	p, err := proc.Start(proc.Options{Env: append(w.c.env(upstream), "PORT="+port), Discard: true}, w.built.file)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, life)
	defer cancel()
	if err := p.PollListening(ctx, addr, pollGap); err != nil {
		p.Kill()
		return nil, err
	}
	return &server{Process: p, addr: addr, start: time.Since(began)}, nil
}
