package regions

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/relay/internal/proc"
)

// A Region is a relay process behind a front. It is not safe for concurrent use,
// but its front is.
type Region struct {
	Name  string // as in the X-Relay header of its responses
	Front *Front

	fleet   *Fleet
	process *proc.Process // nil while there is none
	expired atomic.Bool
}

// Start starts the relay unless it runs, and has the front forward requests to it
// without a fault.
func (r *Region) Start(ctx context.Context) error {
	if r.process == nil {
		if err := r.startProcess(ctx); err != nil {
			return fmt.Errorf("%s: %w", r.Name, err)
		}
	}
	return r.Front.Set(None)
}

func (r *Region) startProcess(ctx context.Context) error {
	env := append([]string{
		"RELAY_UPSTREAMS=" + r.fleet.Upstream.URL,
		"RELAY_NAME=" + r.Name,
		"RELAY_REGION=" + r.Name,
		"RELAY_LOG_LEVEL=warn",
	}, r.fleet.opts.Env...)
	if r == r.fleet.Regions[0] {
		env = append(env, r.fleet.opts.First...)
	}
	process, base, err := proc.StartRelay(ctx, proc.Options{Env: env, Log: r.fleet.opts.Log}, r.fleet.relay, anyPort)
	if err != nil {
		return err
	}
	r.process = process
	return r.Front.Pass(base)
}

// Kill kills the relay at once: its address refuses new connections and resets
// existing ones.
func (r *Region) Kill() error {
	err := r.Front.Set(Refused)
	if r.process != nil {
		r.process.Kill()
		r.process = nil
	}
	return err
}

// Stop shuts the relay down gracefully and waits for it: its address refuses
// connections, and responses in flight are completed.
func (r *Region) Stop() error {
	err := r.Front.Set(Drained)
	if r.process != nil {
		r.process.Stop()
		r.process = nil
	}
	return err
}

// Freeze stops the relay's process like a machine that hangs, while its platform
// keeps running, or lets it continue.
func (r *Region) Freeze(frozen bool) error {
	if frozen {
		return r.process.Signal(syscall.SIGSTOP)
	}
	return r.process.Signal(syscall.SIGCONT)
}

// Expire makes the region present a certificate that expired yesterday, or a valid
// one again, from the next handshake on.
func (r *Region) Expire(expired bool) { r.expired.Store(expired) }

// close stops the region, whatever its state.
func (r *Region) close() {
	r.Front.Close()
	if r.process != nil {
		r.process.Kill()
	}
}

// config returns the TLS configuration of the region's front.
func (r *Region) config(a *Authority, http1 bool) (*tls.Config, error) {
	good, err := a.Certificate(time.Now().Add(day))
	if err != nil {
		return nil, err
	}
	bad, err := a.Certificate(time.Now().Add(-day))
	if err != nil {
		return nil, err
	}
	protocols := []string{"h2", "http/1.1"}
	if http1 {
		protocols = protocols[1:]
	}
	expired := &tls.Config{
		Certificates: []tls.Certificate{bad}, NextProtos: protocols, MinVersion: tls.VersionTLS12,
		// A resumed session would skip the check of the certificate.
		SessionTicketsDisabled: true,
	}
	return &tls.Config{
		Certificates: []tls.Certificate{good}, NextProtos: protocols, MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			if r.expired.Load() {
				return expired, nil
			}
			return nil, nil
		},
	}, nil
}

// anyPort is the address of a relay whose port does not matter.
const anyPort = "127.0.0.1:0"

// A Gateway is a relay process in front of the regions. It must be stopped.
type Gateway struct {
	*proc.Process
	Base string // URL, without "/v1"
}

// StartGateway starts a gateway to all regions, in order. opts.Env holds further
// settings ("RELAY_NAME=value").
func (f *Fleet) StartGateway(ctx context.Context, opts proc.Options) (*Gateway, error) {
	opts.Env = append([]string{"RELAY_NAME=gateway", "RELAY_UPSTREAMS=" + strings.Join(f.URLs(), ",")}, opts.Env...)
	if f.authority != nil {
		opts.Env = append(opts.Env, "SSL_CERT_FILE="+f.certFile())
	}
	process, base, err := proc.StartRelay(ctx, opts, f.relay, anyPort)
	if err != nil {
		return nil, err
	}
	return &Gateway{process, base}, nil
}
