package conn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// lastWrite is how long a response that has ended waits for the end of its
// request, so that the connection can be reused. The upstream has read it by
// then.
const lastWrite = 50 * time.Millisecond

// A roundTrip is one request and its response on an [h1].
type roundTrip struct {
	h      *h1
	ctx    context.Context
	unhook func() bool // keeps the end of ctx from ending the connection

	// Where the body is written while the response is read:
	writer   chan struct{} // closed when the body is written; nil if it was before
	proceed  chan struct{} // closed when the upstream wants the body, or has responded
	once     sync.Once
	unwanted atomic.Bool           // there was a response before the body was wanted
	bodyErr  atomic.Pointer[error] // why the body failed
	ending   atomic.Bool           // the last bytes of the request are written, or about to be
	complete bool                  // the whole request was written; valid once writer is closed

	expects   bool // the request asked for a 100 (Continue)
	continued bool // and got one
	suspect   bool // upstream and relay may disagree where a message ends

	finished atomic.Bool
	body     responseBody
}

func (x *roundTrip) do(req *http.Request) (*http.Response, error) {
	if err := x.write(req); err != nil {
		return nil, err
	}
	res, err := x.read(req)
	if err != nil {
		return nil, err
	}
	if res.Body == http.NoBody {
		x.finish(x.mayReuse(res))
		return res, nil
	}
	x.body = responseBody{x: x, src: res.Body, reusable: x.mayReuse(res)}
	res.Body = &x.body
	return res, nil
}

// mayReuse reports whether the connection may take another request after res,
// as far as the headers tell. Where the upstream may see the end of the request
// or of the response elsewhere than the relay does, what it sends or reads next
// is not what the relay believes it is: one client would get the response to
// another's request, or to one hidden in a body.
func (x *roundTrip) mayReuse(res *http.Response) bool {
	return !res.Close && res.ProtoMinor >= 1 && !x.suspect && (!x.expects || x.continued) && !announcesBody(res)
}

// announcesBody reports whether res has no body, by the request's method or by
// its status, and yet says that it has one: an upstream that sends it after all
// would begin the next response with it (RFC 9112, section 6.3).
func announcesBody(res *http.Response) bool {
	if res.Request.Method != http.MethodHead && res.StatusCode >= 200 &&
		res.StatusCode != http.StatusNoContent && res.StatusCode != http.StatusNotModified {
		return false
	}
	for _, length := range res.Header["Content-Length"] {
		if length != "0" {
			return true
		}
	}
	return len(res.TransferEncoding) > 0 || len(res.Header["Transfer-Encoding"]) > 0
}

// read reads the header of the final response. 1xx ones are not it.
func (x *roundTrip) read(req *http.Request) (*http.Response, error) {
	h := x.h
	h.header.limit(maxHeaderBytes, maxAllLines)
	for {
		res, err := h.readHeader(req)
		switch {
		case err != nil && h.header.exceeded():
			return nil, errHeadersTooLarge
		case err == io.EOF:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case res.ProtoMajor != 1:
			return nil, errVersion
		}
		x.suspect = x.suspect || h.header.twoLengths
		switch {
		case res.StatusCode >= 200 || res.StatusCode < 100 || res.StatusCode == http.StatusSwitchingProtocols:
			// Nobody asked for a switch, so the connection can carry nothing more.
			res.Close = res.Close || res.StatusCode == http.StatusSwitchingProtocols
			if x.writer != nil && !x.ending.Load() {
				x.suspect = true // the upstream may read on, or take the rest for a request
			}
			x.responded()
			h.header.lift()
			return res, nil
		case announcesBody(res):
			x.suspect = true
		}
		if res.StatusCode == http.StatusContinue && x.proceed != nil {
			x.continued = true
			x.once.Do(func() { close(x.proceed) })
		}
	}
}

// responded tells the writer that there is a response, so that a body which still
// waits is not wanted.
func (x *roundTrip) responded() {
	if x.proceed != nil {
		x.once.Do(func() {
			x.unwanted.Store(true)
			close(x.proceed)
		})
	}
}

// finish ends the round trip after its response. The connection is reused if
// nothing speaks against it.
func (x *roundTrip) finish(reusable bool) {
	if x.finished.Swap(true) {
		return
	}
	if !x.unhook() {
		reusable = false // ctx has ended, and the connection with it
	}
	if x.writer != nil && reusable {
		timer := time.NewTimer(lastWrite)
		select {
		case <-x.writer:
		case <-timer.C:
			reusable = false // the upstream did not want the rest
		}
		timer.Stop()
	}
	if reusable && (x.writer == nil || x.complete) && !x.h.hasMore() {
		x.h.reused = true
		if x.h.state.CompareAndSwap(h1Busy, h1Idle) {
			x.h.changed()
		}
		return
	}
	x.h.Close()
}

// A responseBody is a response's body on an [h1].
type responseBody struct {
	x        *roundTrip
	src      io.ReadCloser
	reusable bool
	err      error // returned by Read; Close only sets finished
}

func (b *responseBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.x.finished.Load() { // the connection is closed, or carries another request
		b.err = errBodyClosed
		return 0, b.err
	}
	n, err := b.src.Read(p)
	if err == nil {
		return n, nil
	}
	reusable := b.reusable && err == io.EOF
	if err != io.EOF {
		switch bodyErr := b.x.bodyErr.Load(); {
		case bodyErr != nil:
			err = fmt.Errorf("%w: %w", ErrRequestFailed, *bodyErr)
		case b.x.ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded):
			err = context.Cause(b.x.ctx)
		}
	}
	b.err = err
	b.x.finish(reusable)
	return n, err
}

// Buffered returns how many bytes can be read without waiting.
func (b *responseBody) Buffered() int {
	if b.x.finished.Load() {
		return 0
	}
	return b.x.h.br.Buffered()
}

// Close ends the round trip. The rest of the body is not worth reading.
func (b *responseBody) Close() error {
	b.x.finish(false)
	return nil
}
