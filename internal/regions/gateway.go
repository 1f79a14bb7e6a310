package regions

import (
	"context"
	"strings"

	"example.com/relay/internal/proc"
)

// A Gateway is a relay process before the regions. It must be stopped.
type Gateway struct {
	Base string // URL, without "/v1"

	process *proc.Process
}

// StartGateway starts a gateway to all regions, in order, with the given
// settings ("RELAY_NAME=value") besides. Its log goes to log, if not nil.
func (f *Fleet) StartGateway(ctx context.Context, opts proc.Options) (*Gateway, error) {
	opts.Env = append([]string{"RELAY_NAME=gateway", "RELAY_UPSTREAMS=" + strings.Join(f.URLs(), ",")}, opts.Env...)
	if f.authority != nil {
		opts.Env = append(opts.Env, "SSL_CERT_FILE="+f.certFile())
	}
	process, base, err := startRelay(ctx, opts, f.relay)
	if err != nil {
		return nil, err
	}
	return &Gateway{Base: base, process: process}, nil
}

// Stop ends the process.
func (g *Gateway) Stop() { g.process.Stop() }

// Usage returns what the process has used so far.
func (g *Gateway) Usage() (proc.Usage, error) { return g.process.Usage() }

// startRelay starts a relay on a free port and returns its base URL without
// "/v1".
func startRelay(ctx context.Context, opts proc.Options, program string) (*proc.Process, string, error) {
	process, err := proc.Start(opts, program, "serve", "-listen", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	base, err := process.Await(ctx, "base URL: ")
	if err != nil {
		process.Kill()
		return nil, "", err
	}
	return process, strings.TrimSuffix(base, "/v1"), nil
}
