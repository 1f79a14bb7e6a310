package core

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
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
	x.ctx, x.cancel = x.newContext(parent)
	x.inFlight.add(x)
	if x.maxTime > 0 {
		x.limit = time.AfterFunc(x.maxTime, func() { x.cancel(errStreamLimit) })
	}
	if deadline, ok := parent.Deadline(); ok {
		x.platform = time.AfterFunc(time.Until(deadline)-deadlineMargin, func() { x.cancel(errDeadline) })
	}
}

// newContext returns the exchange's context. If the response may be detached, it can
// be unlinked from the request's, which the server ends when the handler returns.
func (x *exchange) newContext(parent context.Context) (context.Context, context.CancelCauseFunc) {
	if parent.Value(clientConnKey{}) == nil {
		return context.WithCancelCause(parent)
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(parent))
	x.unlink = context.AfterFunc(parent, func() { cancel(context.Cause(parent)) })
	return ctx, cancel
}

// end releases what begin took.
func (x *exchange) end() {
	for _, timer := range []*time.Timer{x.limit, x.platform} {
		if timer != nil {
			timer.Stop()
		}
	}
	x.inFlight.remove(x)
	if x.unlink != nil {
		x.unlink()
	}
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

// A clientTimeout cancels an exchange when its client has stopped waiting for the
// response to begin. Official SDKs send their timeouts, and platforms do not tell when
// a client is gone. A nil one does nothing. It is safe for concurrent use.
type clientTimeout struct {
	cancel  context.CancelCauseFunc
	timeout time.Duration

	mu    sync.Mutex  // guards timer and ended
	timer *time.Timer // nil: not begun
	ended bool
}

// startClientTimeout returns the timeout that a request tells, or nil.
// X-Stainless-Timeout, of openai-node and openai-go, has begun. That of openai-python,
// X-Stainless-Read-Timeout, is the time between two reads: it begins when the client
// has sent its body, which may take longer, see watch.
func startClientTimeout(req *http.Request, cancel context.CancelCauseFunc) *clientTimeout {
	timeout, ok := stainlessTimeout(req.Header, "X-Stainless-Timeout")
	if ok {
		t := &clientTimeout{cancel: cancel, timeout: timeout}
		t.begin()
		return t
	}
	if timeout, ok = stainlessTimeout(req.Header, "X-Stainless-Read-Timeout"); !ok {
		return nil
	}
	t := &clientTimeout{cancel: cancel, timeout: timeout}
	if !hasBody(req) {
		t.begin()
	}
	return t
}

// begin starts the timer, unless it has been started before or end has been called.
func (t *clientTimeout) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer == nil && !t.ended {
		t.timer = time.AfterFunc(t.timeout, func() { t.cancel(errClientTimeout) })
	}
}

// end stops the timer: the response has begun.
func (t *clientTimeout) end() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	if t.timer != nil {
		t.timer.Stop()
	}
}

// watch returns body such that the timeout begins at its end.
func (t *clientTimeout) watch(body io.ReadCloser) io.ReadCloser {
	if t == nil {
		return body
	}
	return &watchedBody{body, t}
}

// A watchedBody is a request's body at whose end a timeout begins.
type watchedBody struct {
	io.ReadCloser
	timeout *clientTimeout
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.timeout.begin()
	}
	return n, err
}

// stainlessTimeout returns the timeout in a header of an official SDK, in seconds, if
// it is one that can pass.
func stainlessTimeout(h http.Header, name string) (time.Duration, bool) {
	seconds, err := strconv.ParseFloat(h.Get(name), 64)
	if err != nil || !(seconds >= 1 && seconds < maxClientTimeout.Seconds()) {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}

// maxClientTimeout is longer than any request takes. Longer timeouts are ignored.
const maxClientTimeout = 24 * time.Hour

// An idleTimer cancels an exchange when the upstream is silent for too long. It is set
// again only when it expires, by when the upstream was last heard. A nil one does
// nothing. It is safe for concurrent use.
type idleTimer struct {
	timeout time.Duration
	cancel  context.CancelCauseFunc
	begun   time.Time
	heard   atomic.Int64 // when the upstream was last, in ns since begun; -1: it may be silent

	mu    sync.Mutex  // guards timer
	timer *time.Timer // nil once stopped
}

// startIdleTimer starts the timer. A timeout of zero means none.
func startIdleTimer(timeout time.Duration, cancel context.CancelCauseFunc) *idleTimer {
	if timeout <= 0 {
		return nil
	}
	t := &idleTimer{timeout: timeout, cancel: cancel, begun: time.Now()}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer = time.AfterFunc(timeout, t.expire)
	return t
}

// expire cancels the exchange, or sets the timer again.
func (t *idleTimer) expire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer == nil {
		return
	}
	left := t.timeout
	if heard := t.heard.Load(); heard >= 0 {
		left -= time.Since(t.begun) - time.Duration(heard)
	}
	if left <= 0 {
		t.cancel(errIdle)
		return
	}
	t.timer.Reset(left)
}

// hear notes that the upstream is heard now.
func (t *idleTimer) hear() {
	if t != nil {
		t.heard.Store(int64(time.Since(t.begun)))
	}
}

// pause lets the upstream be silent until hear is called.
func (t *idleTimer) pause() {
	if t != nil {
		t.heard.Store(-1)
	}
}

// Stop ends the timer.
func (t *idleTimer) Stop() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer.Stop()
	t.timer = nil
}
