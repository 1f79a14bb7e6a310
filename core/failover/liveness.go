package failover

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// freshFor is how long an upstream that was heard of is taken to be alive.
	freshFor = time.Second

	// minPatience and maxPatience bound how long a request waits for a sign of life
	// over an established connection before it connects anew; in between, it is twice
	// the time that connects and probes take on average.
	minPatience = 200 * time.Millisecond
	maxPatience = 500 * time.Millisecond
)

// A liveness is what keeps requests from a machine that hangs: when it last responded,
// and the check under way because that is long ago. Bytes alone, as of a handshake or
// of HTTP/2, may come from a front that is well. It is safe for concurrent use.
type liveness struct {
	heardAt atomic.Int64 // when a response began, see now; 0 for never

	mu   sync.Mutex
	done chan struct{} // closed when the check ends; nil if none is running
}

func (l *liveness) hear() { l.heardAt.Store(now()) }

// unheardFor returns how long nothing of a response was read.
func (u *upstream) unheardFor() time.Duration {
	at := u.liveness.heardAt.Load()
	for _, a := range u.attempts() {
		if a.answered.Load() {
			at = max(at, a.heardAt.Load())
		}
	}
	return time.Duration(now() - at)
}

// isFresh reports whether the upstream was heard of lately.
func (u *upstream) isFresh() bool {
	at := u.liveness.heardAt.Load()
	return at != 0 && (time.Duration(now()-at) < freshFor || u.unheardFor() < freshFor)
}

// isUnproven reports whether cand may hang, as far as is known, so that a request
// which may not be sent again would be lost. Only relay serve has to prove that it does
// not: it responds to a check at once, and that costs nothing.
func (c *call) isUnproven(cand *candidate) bool {
	u := cand.upstream
	if !c.result.Several || c.mayResend() || !u.isServer.Load() || u.isFresh() || !c.pool.probes() {
		return false
	}
	// While others connect, nothing may wait here: a new connection proves as much.
	return cand.trial == trialOurs || cand.reconnects > 0 || !c.race.idle() || !c.showsLife(u)
}

// showsLife reports whether u responds in time to a health check over a connection
// that is established. If it does not, it is examined like one that lets a request
// wait. Requests that arrive together share a check.
func (c *call) showsLife(u *upstream) bool {
	done := c.pool.checkLife(u)
	if done == nil {
		return false
	}
	timer := time.NewTimer(min(max(minPatience, 2*u.health.avgConnect()), maxPatience))
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		c.pool.lookNow(u)
	case <-c.req.Context().Done():
	}
	return u.isFresh()
}

// checkLife returns a channel that is closed when a check of u has ended, or nil if
// no connection is established that could carry it.
func (p *Pool) checkLife(u *upstream) <-chan struct{} {
	l := &u.liveness
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done == nil && u.connections.AtHand() {
		l.done = make(chan struct{})
		go func() {
			p.askAlong(u)
			l.mu.Lock()
			defer l.mu.Unlock()
			close(l.done)
			l.done = nil
		}()
	}
	return l.done
}

// askAlong checks u's health over an established connection, which requests use
// afterwards.
func (p *Pool) askAlong(u *upstream) {
	cn := u.connections.Take(false)
	if cn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(p.running, probeTimeout)
	defer cancel()
	_ = ask(ctx, u, cn, false) // which notes that it was heard of
}
