package core

import (
	"context"
	"time"
)

// shutdownGrace is how long Shutdown waits for the requests that it ended: a client
// that no longer reads must not hold up the process.
const shutdownGrace = time.Second

// Shutdown waits until no request is in flight. When ctx is done, it ends those that
// are left, event streams with an error event, waits for them for up to a second,
// and returns ctx's error. It does not refuse new requests; the server does.
func (r *Relay) Shutdown(ctx context.Context) error {
	defer r.stop() // also ends requests that arrive later
	drained := r.whenDrained()
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
	}
	r.stop()
	select {
	case <-drained:
	case <-time.After(shutdownGrace):
	}
	return ctx.Err()
}

func (r *Relay) enter() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active++
}

func (r *Relay) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active--
	if r.active == 0 && r.drained != nil {
		close(r.drained)
		r.drained = nil
	}
}

// whenDrained returns a channel that is closed when no request is in flight.
func (r *Relay) whenDrained() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.active == 0 {
		done := make(chan struct{})
		close(done)
		return done
	}
	if r.drained == nil {
		r.drained = make(chan struct{})
	}
	return r.drained
}
