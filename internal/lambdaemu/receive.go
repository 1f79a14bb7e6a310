package lambdaemu

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// limit returns how many bytes a function may answer.
func (r *Runtime) limit() int {
	if r.function.Mode == ResponseStream {
		return maxStreamed
	}
	return maxBuffered
}

// receiveStream passes the answer on while it arrives, at the pace of whoever
// reads it. The error is why the answer is not complete.
func (r *Runtime) receiveStream(inv *invocation, req *http.Request) error {
	body, pipe := io.Pipe()
	r.mu.Lock()
	if inv.phase != responding { // its time is over already
		r.mu.Unlock()
		return ErrTimeout
	}
	inv.stream = pipe
	inv.result <- result{answer: &Answer{RequestID: inv.id, ContentType: req.Header.Get("Content-Type"), Body: body}}
	r.mu.Unlock()

	var to io.Writer = &forgetful{w: pipe}
	if r.function.Bandwidth {
		to = &paced{w: to, bucket: newBucket()}
	}
	err := r.receive(to, req)
	if err == nil {
		err = trailerError(req)
	}
	r.finish(inv)
	pipe.CloseWithError(err)
	return err
}

// receiveBuffered passes the answer on when it is complete. Trailers count only
// if the runtime has said that it streams.
func (r *Runtime) receiveBuffered(inv *invocation, req *http.Request, trailers bool) error {
	var body bytes.Buffer
	err := r.receive(&body, req)
	if err == nil && trailers {
		err = trailerError(req)
	}
	res := result{err: err}
	if err == nil {
		res.answer = &Answer{RequestID: inv.id, ContentType: req.Header.Get("Content-Type"), Body: io.NopCloser(&body)}
	}
	if r.finish(inv) {
		inv.result <- res
	}
	return err
}

// receive copies the body of req, and reads what is too much without copying,
// so that the runtime reads the answer and not of a broken connection.
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

// finish makes inv over and reports whether it was not before. It comes before
// the client sees the end of the answer: its next request must know.
func (r *Runtime) finish(inv *invocation) bool {
	r.mu.Lock()
	was := inv.phase
	inv.phase = over
	r.mu.Unlock()
	r.hooks.over()
	return was != over
}

// forgetful writes until the reader has gone, and then pretends to.
type forgetful struct{ w *io.PipeWriter }

func (f *forgetful) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if errors.Is(err, io.ErrClosedPipe) {
		return len(p), nil
	}
	return n, err
}

// The pace of Lambda's streams.
const (
	burst  = 6 << 20
	rate   = 2 << 20 // bytes per second
	refill = 125 * time.Millisecond
)

// bucket is a token bucket that begins full. It is refilled in steps, as
// Lambda's is, not evenly.
type bucket struct {
	tokens int
	filled time.Time // when the last step was
}

func newBucket() *bucket { return &bucket{tokens: burst, filled: time.Now()} }

// take takes up to n tokens, and waits if there are none.
func (b *bucket) take(n int) int {
	b.fill()
	for b.tokens == 0 {
		time.Sleep(time.Until(b.filled.Add(refill)))
		b.fill()
	}
	n = min(n, b.tokens)
	b.tokens -= n
	return n
}

func (b *bucket) fill() {
	steps := int(time.Since(b.filled) / refill)
	b.filled = b.filled.Add(time.Duration(steps) * refill)
	b.tokens = min(burst, b.tokens+steps*int(rate*refill/time.Second))
}

// paced writes no faster than its bucket allows.
type paced struct {
	w      io.Writer
	bucket *bucket
}

func (p *paced) Write(b []byte) (written int, err error) {
	for written < len(b) && err == nil {
		n := p.bucket.take(len(b) - written)
		n, err = p.w.Write(b[written : written+n])
		written += n
	}
	return written, err
}
