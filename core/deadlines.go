package core

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// deadlineMargin is how long before a platform's deadline a response is ended: a
// kill by the platform may look like a clean end.
const deadlineMargin = 1500 * time.Millisecond

// deadlines are the timers that end an exchange early; nil if there is none.
type deadlines struct {
	limit    *time.Timer // RELAY_MAX_STREAM_TIME
	platform *time.Timer // the platform's time for one request
}

// begin starts the exchange: it ends with its time limits and with the relay.
func (x *exchange) begin() {
	parent := x.req.Context()
	x.ctx, x.cancel = context.WithCancelCause(parent)
	x.open.add(x)
	if x.maxTime > 0 {
		x.limit = time.AfterFunc(x.maxTime, func() { x.cancel(errStreamLimit) })
	}
	if deadline, ok := parent.Deadline(); ok {
		x.platform = time.AfterFunc(time.Until(deadline)-deadlineMargin, func() { x.cancel(errDeadline) })
	}
}

// end ends the exchange for good.
func (x *exchange) end() {
	for _, timer := range []*time.Timer{x.limit, x.platform} {
		if timer != nil {
			timer.Stop()
		}
	}
	x.open.remove(x)
	x.cancel(nil)
}

// An inFlight is the set of exchanges under way. It is safe for concurrent use.
type inFlight struct {
	mu     sync.Mutex
	all    map[*exchange]struct{}
	closed bool
}

func (in *inFlight) add(x *exchange) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		x.cancel(errShutdown)
		return
	}
	if in.all == nil {
		in.all = make(map[*exchange]struct{})
	}
	in.all[x] = struct{}{}
}

func (in *inFlight) remove(x *exchange) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.all, x)
}

// close ends all exchanges, including those that are added later.
func (in *inFlight) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	for x := range in.all {
		x.cancel(errShutdown)
	}
}

// startPatience returns the timer that ends an exchange when its client has
// stopped waiting: official SDKs say how long they wait for a response to begin,
// in seconds (openai-node and openai-go, X-Stainless-Timeout; openai-python,
// X-Stainless-Read-Timeout). Platforms do not tell that a client is gone.
func startPatience(h http.Header, cancel context.CancelCauseFunc) idleTimer {
	for _, name := range []string{"X-Stainless-Timeout", "X-Stainless-Read-Timeout"} {
		value := h.Get(name)
		if value == "" {
			continue
		}
		seconds, err := strconv.ParseFloat(value, 64)
		if err == nil && seconds >= 1 && seconds < maxPatience.Seconds() {
			timeout := time.Duration(seconds * float64(time.Second))
			return idleTimer{time.AfterFunc(timeout, func() { cancel(errClientTimeout) })}
		}
	}
	return idleTimer{}
}

// maxPatience is more than any request takes.
const maxPatience = 24 * time.Hour

// startIdle returns the timer that ends an exchange when the upstream is silent
// for timeout. If that is zero, the timer never fires.
func startIdle(timeout time.Duration, cancel context.CancelCauseFunc) idleTimer {
	if timeout <= 0 {
		return idleTimer{}
	}
	return idleTimer{time.AfterFunc(timeout, func() { cancel(errIdle) })}
}

// An idleTimer is a timer, or none.
type idleTimer struct{ timer *time.Timer }

func (t idleTimer) Reset(d time.Duration) {
	if t.timer != nil {
		t.timer.Reset(d)
	}
}

func (t idleTimer) Stop() {
	if t.timer != nil {
		t.timer.Stop()
	}
}
