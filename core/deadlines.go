package core

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// deadlineMargin is how long before a platform's deadline a response is ended: if
// the platform ends it, it may look complete.
const deadlineMargin = 1500 * time.Millisecond

// deadlines are the timers that end an exchange early. Each is nil if there is no
// such limit.
type deadlines struct {
	limit    *time.Timer // RELAY_MAX_STREAM_TIME
	platform *time.Timer // the platform's timeout
}

// begin sets ctx and cancel, starts the timers and registers the exchange as in
// flight. end must be called.
func (x *exchange) begin() {
	parent := x.req.Context()
	x.ctx, x.cancel = context.WithCancelCause(parent)
	x.inFlight.add(x)
	if x.maxTime > 0 {
		x.limit = time.AfterFunc(x.maxTime, func() { x.cancel(errStreamLimit) })
	}
	if deadline, ok := parent.Deadline(); ok {
		x.platform = time.AfterFunc(time.Until(deadline)-deadlineMargin, func() { x.cancel(errDeadline) })
	}
}

// end releases what begin took.
func (x *exchange) end() {
	for _, timer := range []*time.Timer{x.limit, x.platform} {
		if timer != nil {
			timer.Stop()
		}
	}
	x.inFlight.remove(x)
	x.cancel(nil)
}

// An inFlight is the set of exchanges in flight. It is safe for concurrent use.
type inFlight struct {
	mu        sync.Mutex // guards all fields
	exchanges map[*exchange]struct{}
	closed    bool
}

func (in *inFlight) add(x *exchange) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		x.cancel(errShutdown)
		return
	}
	if in.exchanges == nil {
		in.exchanges = make(map[*exchange]struct{})
	}
	in.exchanges[x] = struct{}{}
}

func (in *inFlight) remove(x *exchange) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.exchanges, x)
}

// close cancels all exchanges, including those that are added later.
func (in *inFlight) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	for x := range in.exchanges {
		x.cancel(errShutdown)
	}
}

// startClientTimeout starts the timer that cancels an exchange when its client has
// stopped waiting for the response. Official SDKs send their timeout, in seconds
// (openai-node and openai-go: X-Stainless-Timeout; openai-python:
// X-Stainless-Read-Timeout), and platforms do not tell when a client is gone.
func startClientTimeout(h http.Header, cancel context.CancelCauseFunc) optionalTimer {
	for _, name := range []string{"X-Stainless-Timeout", "X-Stainless-Read-Timeout"} {
		value := h.Get(name)
		if value == "" {
			continue
		}
		seconds, err := strconv.ParseFloat(value, 64)
		if err == nil && seconds >= 1 && seconds < maxClientTimeout.Seconds() {
			timeout := time.Duration(seconds * float64(time.Second))
			return optionalTimer{time.AfterFunc(timeout, func() { cancel(errClientTimeout) })}
		}
	}
	return optionalTimer{}
}

// maxClientTimeout is longer than any request takes. Longer timeouts are ignored.
const maxClientTimeout = 24 * time.Hour

// startIdleTimer starts the timer that cancels an exchange when the upstream is
// silent for timeout. A timeout of zero means none.
func startIdleTimer(timeout time.Duration, cancel context.CancelCauseFunc) optionalTimer {
	if timeout <= 0 {
		return optionalTimer{}
	}
	return optionalTimer{time.AfterFunc(timeout, func() { cancel(errIdle) })}
}

// An optionalTimer is a timer, or nothing.
type optionalTimer struct{ timer *time.Timer }

func (t optionalTimer) Reset(d time.Duration) {
	if t.timer != nil {
		t.timer.Reset(d)
	}
}

func (t optionalTimer) Stop() {
	if t.timer != nil {
		t.timer.Stop()
	}
}
