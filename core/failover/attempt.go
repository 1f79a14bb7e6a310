package failover

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
)

// errUnresponsive ends attempts at an upstream that is dead behind connections
// which stand.
var errUnresponsive = errors.New("upstream is silent on all its connections")

// An attempt is one sending of a request, over one connection.
type attempt struct {
	pool   *Pool
	u      *upstream
	conn   *conn
	ctx    context.Context         // the request's
	own    context.Context         // ends with the attempt
	cancel context.CancelCauseFunc // ends own; nil where there is one upstream only

	sentAt      int64 // see now
	wroteHeader atomic.Bool
	answered    atomic.Bool
	heardAt     atomic.Int64 // when bytes of the answer came, see now
	left        atomic.Bool
}

// roundTrip sends req and returns the answer, whose body watches over the
// attempt.
func (a *attempt) roundTrip(req *http.Request) (*http.Response, error) {
	a.ctx = req.Context()
	ctx := a.ctx
	if a.conn.own == nil {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			WroteHeaders: func() { a.wroteHeader.Store(true) },
		})
	}
	if a.pool.Several() {
		ctx, a.cancel = context.WithCancelCause(ctx)
		a.sentAt = now()
		a.heardAt.Store(a.sentAt)
		a.u.join(a)
	}
	a.own = ctx
	a.u.silence.wait()
	if ctx != a.ctx {
		req = req.WithContext(ctx)
	}
	res, err := a.conn.roundTrip(req)
	if err == nil && a.conn.own == nil && headerLines(res.Header) > maxHeaderLines {
		res.Body.Close()
		res, err = nil, errHeaderTooLarge
	}
	a.u.silence.answered()
	a.pool.touch()
	if err != nil {
		a.leave()
		return nil, err
	}
	a.answered.Store(true)
	a.heard()
	if res.StatusCode == http.StatusSwitchingProtocols {
		a.leaveUncancelled() // the connection is the caller's
		return res, nil
	}
	res.Body = &body{ReadCloser: res.Body, a: a}
	return res, nil
}

// headerLines returns how many lines h has.
func headerLines(h http.Header) int {
	n := 0
	for _, values := range h {
		n += len(values)
	}
	return n
}

// heard notes when bytes came, for whoever compares upstreams.
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

func (a *attempt) leaveUncancelled() {
	if a.cancel != nil && !a.left.Swap(true) {
		a.u.leave(a)
	}
}

// cause returns why the attempt was ended, or nil.
func (a *attempt) cause() error { return context.Cause(a.own) }

// processed reports whether, after err, somebody may have processed the
// request.
func (a *attempt) processed(err error) bool {
	return !a.conn.unsent(a.wroteHeader.Load()) && !errors.Is(err, errPeerClosed) && !isRefusedStream(err)
}

// goAway is the text of net/http's error for an HTTP/2 stream that the server
// announced not to process (RFC 9113, section 6.8). The error is not exported.
const goAway = "http2: Transport received Server's graceful shutdown GOAWAY"

// isRefusedStream reports whether an HTTP/2 server said that it has not
// processed a request (RFC 9113, section 8.7).
func isRefusedStream(err error) bool {
	// net/http converts its stream errors into any struct with these fields.
	var stream streamError
	return errors.As(err, &stream) && stream.Code == refusedStream || err != nil && err.Error() == goAway
}

// refusedStream is the code REFUSED_STREAM (RFC 9113, section 7).
const refusedStream = 7

// headersTooLarge is the end of net/http's error for a request that it did not
// write since its headers are larger than an HTTP/2 server takes
// (SETTINGS_MAX_HEADER_LIST_SIZE; RFC 9113, section 6.5.2). The error is not
// exported.
const headersTooLarge = "request header list larger than peer's advertised limit"

// isHeaderRefused reports whether a request was not written for the size of its
// headers.
func isHeaderRefused(err error) bool {
	return err != nil && strings.HasSuffix(err.Error(), headersTooLarge)
}

// A streamError is an HTTP/2 stream's error, as net/http has it.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return "HTTP/2 stream error" }

// A body is an answer's, which watches over its attempt.
//
// A Read after Close fails, and one that Close overtakes does so at the latest
// with the next, whatever the ReadCloser does: a transport that is not ours may
// return nothing and no error for ever.
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

// Whole reports whether all of an answer of length bytes has come, so that
// reading it does not wait.
func (b *body) Whole(length int64) bool {
	own, ok := b.ReadCloser.(*answerBody)
	return ok && length >= 0 && int64(own.Buffered()) >= length
}

// end notes how the answer ended.
func (b *body) end(err error) {
	a := b.a
	if err != io.EOF && a.cancel != nil && !a.left.Load() && a.ctx.Err() == nil &&
		!errors.Is(err, errRequestBroke) && !errors.Is(a.cause(), errUnresponsive) {
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

// interrupted holds a broken response against the upstream, unless it is well: a
// request may have been longer than its platform lets them be.
func (a *attempt) interrupted() {
	strike := func() { a.pool.strike(a.u, ClassInterrupted, 1) }
	if a.pool.opts.Serverless {
		strike()
		return
	}
	a.u.health.noteError(ClassInterrupted)
	a.pool.suspect(a.ctx, a.u, false, strike)
}
