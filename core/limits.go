package core

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"example.com/relay/core/protocol"
)

const (
	maxURIBytes    = 8 << 10
	maxHeaderBytes = 64 << 10 // what api.openai.com takes

	// maxHeaderLines is the max number of headers of a request. Each costs some
	// hundred bytes of memory, however short it is.
	maxHeaderLines = 500

	// bodyWindow is how much of a body must arrive within the timeout.
	bodyWindow = 32 << 10
)

// limits is the stage that limits each request, and all of them together.
type limits struct {
	inFlight    atomic.Int64
	maxInFlight int64 // 0: none
	sockets     sockets
	maxBody     int64
	bodyTimeout time.Duration // 0: none
	tooLarge    *Error        // says how much fits here
}

func newLimits(cfg Config) *limits {
	return &limits{
		maxInFlight: int64(cfg.MaxInFlight),
		sockets:     sockets{limit: (cfg.MaxInFlight + 1) / 2},
		maxBody:     cfg.MaxBodyBytes,
		bodyTimeout: cfg.BodyTimeout,
		tooLarge:    tooLarge(cfg.MaxBodyBytes, cfg.Platform.Name),
	}
}

func (l *limits) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if err := l.check(req); err != nil {
			writeError(w, req, err)
			return
		}
		defer recordOf(req).atEnd(l)
		if n := l.inFlight.Add(1); l.maxInFlight > 0 && n > l.maxInFlight {
			writeError(w, req, errOverloaded)
			return
		}
		if g := recordOf(req).grant; g != nil {
			if err := g.begin(time.Now()); err != nil {
				writeError(w, req, err)
				return
			}
			defer recordOf(req).atEnd(g)
		}
		if isUpgrade(req) {
			caller := recordOf(req).caller
			if !l.sockets.add(caller) {
				writeError(w, req, errSockets)
				return
			}
			defer l.sockets.remove(caller)
		}
		if hasBody(req) {
			req.Body = &limitedBody{
				ReadCloser: req.Body,
				rc:         controller(w),
				count:      &recordOf(req).bytesIn,
				left:       l.maxBody,
				timeout:    l.bodyTimeout,
				armed:      recordOf(req).start,
				tooLarge:   l.tooLarge,
			}
		}
		next.ServeHTTP(w, req)
	})
}

// end ends a request in flight.
func (l *limits) end() { l.inFlight.Add(-1) }

// check returns why req is refused, or nil.
func (l *limits) check(req *http.Request) error {
	switch {
	case max(len(req.URL.Path), len(req.URL.RawPath))+len(req.URL.RawQuery) > maxURIBytes:
		return errURITooLong
	case !fits(req.Header):
		return errHeadersTooLarge
	case protocol.Hops(req.Header) >= protocol.MaxHops:
		return errLoop
	case req.ContentLength > l.maxBody:
		return l.tooLarge
	}
	return nil
}

// tooLarge returns errBodyTooLarge with this relay's limit, and where limits are
// larger.
func tooLarge(limit int64, platform string) *Error {
	e := *errBodyTooLarge
	where := "this relay"
	if platform != "" {
		where += " on " + platform
	}
	e.Msg = fmt.Sprintf("The request body is too large: %s accepts up to %s. Send a smaller one, or use a relay with "+
		"a larger limit: Google Cloud Functions accept 32 MiB, relay serve up to RELAY_MAX_BODY_BYTES.",
		where, bytesText(limit))
	return &e
}

// bytesText returns n bytes as text, in the largest binary unit that is exact.
func bytesText(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.FormatInt(n>>20, 10) + " MiB"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.FormatInt(n>>10, 10) + " KiB"
	}
	return strconv.FormatInt(n, 10) + " bytes"
}

// fits reports whether h is within the limits, by its approximate size on the wire.
func fits(h http.Header) bool {
	lines, bytes := 0, 0
	for name, values := range h {
		lines += len(values)
		for _, value := range values {
			bytes += len(name) + len(value) + len(": \r\n")
		}
	}
	return lines <= maxHeaderLines && bytes <= maxHeaderBytes
}

// hasBody reports whether anything may be read from req's body.
func hasBody(req *http.Request) bool {
	return req.Body != nil && req.Body != http.NoBody && req.ContentLength != 0
}

// deadlineSlack is how stale a deadline may get before it is set again, so that
// small bodies need only one.
const deadlineSlack = 100 * time.Millisecond

// A limitedBody is a request's body that counts what is read, and fails if it is
// too long or sent too slowly. Its errors are *Error. Only count may be used by
// other goroutines than the one that reads.
type limitedBody struct {
	io.ReadCloser
	rc       *http.ResponseController
	count    *atomic.Int64
	left     int64
	timeout  time.Duration // for each bodyWindow; 0: none
	armed    time.Time     // when the record stage set the first deadline; zero after the first read
	window   int64         // bytes until patience is renewed
	patience time.Duration // left to wait for them
	tooLarge *Error
	err      error
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	// One byte more than is left tells a body at its limit from one over it.
	if int64(len(p))-1 > b.left {
		p = p[:b.left+1]
	}
	n, err := b.read(p)
	if int64(n) > b.left {
		n, err = int(b.left), b.tooLarge
	}
	b.left -= int64(n)
	b.count.Add(int64(n))
	b.err = b.bodyError(err)
	return n, b.err
}

// read reads within the time that is left for the window. Only time spent waiting
// for the client counts, not time in which the upstream does not read.
func (b *limitedBody) read(p []byte) (int, error) {
	if b.timeout <= 0 {
		return b.ReadCloser.Read(p)
	}
	if b.window <= 0 {
		b.window, b.patience = bodyWindow, b.timeout
	}
	start := time.Now()
	if start.Sub(b.armed) > min(deadlineSlack, b.timeout/4) {
		// Platforms that deliver whole bodies have no deadlines, and need none.
		_ = b.rc.SetReadDeadline(start.Add(b.patience))
	}
	b.armed = time.Time{}
	n, err := b.ReadCloser.Read(p)
	b.patience -= time.Since(start)
	b.window -= int64(n)
	return n, err
}

// bodyError converts an error of the server's body to the one to respond with. At
// EOF it clears the deadline, which would otherwise end the server's background
// read that notices when the client leaves. After an error the deadline stays, so
// that the server does not wait for the rest of the body.
func (b *limitedBody) bodyError(err error) error {
	switch err {
	case nil:
		return nil
	case io.EOF:
		if b.timeout > 0 {
			_ = b.rc.SetReadDeadline(time.Time{})
		}
		return err
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errBodyTimeout.because(err)
	}
	return errBodyIncomplete.because(err)
}
