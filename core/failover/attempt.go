package failover

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"example.com/relay/core/failover/internal/conn"
)

// errUnresponsive ends attempts at an upstream that is dead although its
// connections are established.
var errUnresponsive = errors.New("upstream is silent on all its connections")

// An attempt is one request sent once, over one connection. The first three
// fields are set by its maker, the next three by roundTrip; the others are read
// by whoever compares upstreams.
type attempt struct {
	pool *Pool
	u    *upstream
	conn *conn.Conn

	ctx    context.Context         // the request's
	own    context.Context         // ends with the attempt
	cancel context.CancelCauseFunc // ends own; nil if there is one upstream only

	sentAt   int64        // see now; set before the attempt is shared
	answered atomic.Bool  // the response has begun
	held     atomic.Bool  // and is held back, see Route
	heardAt  atomic.Int64 // when bytes of the response were read, see now
	left     atomic.Bool  // no longer in flight
}

// roundTrip sends req and returns the response, whose body ends the attempt.
func (a *attempt) roundTrip(req *http.Request) (*http.Response, error) {
	a.ctx = req.Context()
	a.own = a.ctx
	a.u.silence.wait() // before sentAt: what is heard later tells of this request
	if a.pool.Several() {
		a.own, a.cancel = context.WithCancelCause(a.ctx)
		a.sentAt = now()
		a.heardAt.Store(a.sentAt)
		a.u.join(a)
		a.pool.watch(a.u)
		req = req.WithContext(a.own)
	}
	res, err := a.conn.RoundTrip(req)
	a.u.silence.answered()
	a.pool.touch()
	if err != nil {
		a.leave()
		return nil, err
	}
	a.answered.Store(true)
	a.u.liveness.hear()
	a.heard()
	if res.StatusCode == http.StatusSwitchingProtocols {
		a.leaveUncancelled() // the connection is the caller's
		return res, nil
	}
	res.Body = &body{ReadCloser: res.Body, a: a}
	return res, nil
}

// heard notes that bytes of the response were read.
func (a *attempt) heard() {
	if a.cancel != nil {
		a.heardAt.Store(now())
	}
}

// leave ends the attempt.
func (a *attempt) leave() {
	a.leaveUncancelled()
	if a.cancel != nil {
		a.cancel(nil)
	}
}

// leaveUncancelled ends the attempt, but not its context.
func (a *attempt) leaveUncancelled() {
	if a.cancel != nil && !a.left.Swap(true) {
		a.u.leave(a)
	}
}

// cause returns why the attempt was ended, or nil.
func (a *attempt) cause() error { return context.Cause(a.own) }

// interrupted holds a truncated response against the upstream, unless a check
// finds it well: the request may have taken longer than its platform allows.
func (a *attempt) interrupted() {
	strike := func() { a.pool.strike(a.u, ClassInterrupted, 1) }
	if a.pool.opts.Serverless {
		strike()
		return
	}
	a.u.health.noteError(ClassInterrupted)
	a.pool.suspect(a.ctx, a.u, strike)
}

var errBodyClosed = errors.New("read on closed response body")

// A body is a response's body, which ends its attempt.
//
// A Read after Close fails, and one that is under way at Close fails at the
// latest with the next, whatever the ReadCloser does: a transport of the
// caller's may return nothing and no error for ever.
type body struct {
	io.ReadCloser
	a      *attempt
	idle   progress
	closed atomic.Bool
}

func (b *body) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, errBodyClosed
	}
	n, err := b.ReadCloser.Read(p)
	err = b.idle.check(len(p), n, err)
	if n > 0 {
		b.a.heard()
		b.a.pool.touch()
	}
	if err != nil {
		b.end(err)
	}
	return n, err
}

// IsBuffered reports whether all of a response of length bytes is in memory, so
// that reading it does not wait. Wrappers that do not have the method, such as
// those of a response that was looked at, only lose an optimisation.
func (b *body) IsBuffered(length int64) bool {
	buffered, ok := b.ReadCloser.(interface{ Buffered() int })
	return ok && length >= 0 && int64(buffered.Buffered()) >= length
}

// end notes how the response ended.
func (b *body) end(err error) {
	a := b.a
	if err != io.EOF && a.cancel != nil && !a.left.Load() && a.ctx.Err() == nil &&
		!errors.Is(err, conn.ErrRequestFailed) && !errors.Is(a.cause(), errUnresponsive) {
		a.interrupted()
	}
	a.leaveUncancelled()
}

// Close ends the attempt.
func (b *body) Close() error {
	b.closed.Store(true)
	err := b.ReadCloser.Close()
	b.a.leave()
	return err
}
