package regions

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/relay/internal/proc"
)

// A Region is a relay process behind a front. It is not safe for concurrent use,
// but its front is.
type Region struct {
	Name  string // as in the X-Relay header of its answers
	Front *Front

	fleet   *Fleet
	process *proc.Process // nil while there is none
	expired atomic.Bool
}

// Start starts the relay, and has the front pass requests on to it without a
// fault.
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
	process, base, err := startRelay(ctx, proc.Options{Env: env, Log: r.fleet.opts.Log}, r.fleet.relay)
	if err != nil {
		return err
	}
	r.process = process
	return r.Front.Pass(base)
}

// Kill kills the relay at once: its address refuses connections and resets those
// there are.
func (r *Region) Kill() error {
	err := r.Front.Set(Refused)
	if r.process != nil {
		r.process.Kill()
		r.process = nil
	}
	return err
}

// Stop has the relay end in good order, and returns when it has: its address
// refuses connections, and answers under way are completed.
func (r *Region) Stop() error {
	err := r.Front.Set(Drained)
	if r.process != nil {
		r.process.Stop()
		r.process = nil
	}
	return err
}

// Freeze stops the relay's process as a machine that hangs, while its platform
// goes on; or lets it go on.
func (r *Region) Freeze(frozen bool) error {
	if frozen {
		return r.process.Signal(syscall.SIGSTOP)
	}
	return r.process.Signal(syscall.SIGCONT)
}

// Expire has the region show a certificate that ended yesterday from the next
// handshake on, or a good one again.
func (r *Region) Expire(expired bool) { r.expired.Store(expired) }

// close ends the region in any state.
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
		// A session of before would go on without a look at the certificate.
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
