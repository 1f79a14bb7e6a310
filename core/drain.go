package core

import (
	"context"
	"time"
)

// shutdownGrace is how long Shutdown waits for the streams that it ended: a client
// that takes nothing any more must not hold up the process.
const shutdownGrace = time.Second

// Shutdown waits until no request is in flight. When ctx is done, it ends the
// streams that are left with an error event, waits for them up to a second
// more, and returns ctx's error. It does not keep new requests out: the server
// does.
func (r *Relay) Shutdown(ctx context.Context) error {
	defer r.close() // for whoever comes too late
	drained := r.whenDrained()
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
	}
	r.close()
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
