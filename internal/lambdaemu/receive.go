package lambdaemu

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// limit returns the largest response, in bytes.
func (r *Runtime) limit() int {
	if r.function.Mode == ResponseStream {
		return maxStreamed
	}
	return maxBuffered
}

// receiveStream forwards the response while it arrives, at the reader's pace. The
// error says why the response is not complete.
func (r *Runtime) receiveStream(inv *invocation, req *http.Request) error {
	body, pipe := io.Pipe()
	r.mu.Lock()
	if inv.phase != responding { // it has timed out
		r.mu.Unlock()
		return ErrTimeout
	}
	inv.stream = pipe
	inv.result <- result{res: &Response{RequestID: inv.id, ContentType: req.Header.Get("Content-Type"), Body: body}}
	r.mu.Unlock()

	err := r.receive(&forgetful{w: pipe}, req)
	if err == nil {
		err = trailerError(req)
	}
	r.finish(inv)
	pipe.CloseWithError(err)
	return err
}

// receiveBuffered forwards the response when it is complete. trailers says whether
// the runtime declared that it streams: else its trailers do not count.
func (r *Runtime) receiveBuffered(inv *invocation, req *http.Request, trailers bool) error {
	var body bytes.Buffer
	err := r.receive(&body, req)
	if err == nil && trailers {
		err = trailerError(req)
	}
	res := result{err: err}
	if err == nil {
		res.res = &Response{RequestID: inv.id, ContentType: req.Header.Get("Content-Type"), Body: io.NopCloser(&body)}
	}
	if r.finish(inv) {
		inv.result <- res
	}
	return err
}

// receive copies the body of req up to the limit, and discards the rest, so that
// the runtime gets a response instead of a reset connection.
func (r *Runtime) receive(to io.Writer, req *http.Request) error {
	n, err := io.Copy(to, io.LimitReader(req.Body, int64(r.limit())))
	if err == nil && n == int64(r.limit()) {
		if more, _ := io.Copy(io.Discard, req.Body); more > 0 {
			return ErrTooLarge
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTruncated, err)
	}
	return nil
}

// finish marks inv as over and reports whether it was not before. It must be
// called before the client can see the end of the response, or the client's next
// request would not find the environment settling.
func (r *Runtime) finish(inv *invocation) bool {
	r.mu.Lock()
	was := inv.phase
	inv.phase = over
	r.mu.Unlock()
	r.hooks.over()
	return was != over
}

// forgetful writes until the reader has closed, and then discards.
type forgetful struct{ w *io.PipeWriter }

func (f *forgetful) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if errors.Is(err, io.ErrClosedPipe) {
		return len(p), nil
	}
	return n, err
}
