package failover

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"example.com/relay/core/internal/replay"
)

var (
	errBodyTooShort = errors.New("request body is shorter than its length")
	errBodyTooLong  = errors.New("request body is longer than its length")
)

// A watchedBody is a request's body that remembers why it failed, and fails if it
// does not have the length that the request says: no upstream is to blame for
// what follows. The transport reads it in a goroutine of its own.
type watchedBody struct {
	io.ReadCloser
	left int64 // of its length; -1 if that is not known
	idle progress
	err  atomic.Pointer[error]
}

// watch returns body watched, or nil if it is nil. A length of 0 is unknown.
func watch(body io.ReadCloser, length int64) *watchedBody {
	if body == nil {
		return nil
	}
	if length <= 0 {
		length = -1
	}
	return &watchedBody{ReadCloser: body, left: length}
}

func (w *watchedBody) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	err = w.idle.check(len(p), n, err)
	if w.left >= 0 {
		switch {
		case int64(n) > w.left:
			n, err = int(w.left), errBodyTooLong
		case int64(n) < w.left && err == io.EOF:
			err = errBodyTooShort
		}
		w.left -= int64(n)
	}
	if err != nil && err != io.EOF && !errors.Is(err, replay.ErrClosed) {
		why := err // which escapes, unlike err
		w.err.Store(&why)
	}
	return n, err
}

// failure returns why the body failed, or nil.
func (w *watchedBody) failure() error {
	if w == nil {
		return nil
	}
	if err := w.err.Load(); err != nil {
		return *err
	}
	return nil
}

// A progress counts reads that return neither bytes nor an error: a caller that
// reads on would never end.
type progress struct{ idle int }

// maxIdleReads is how many of them in a row are tolerated.
const maxIdleReads = 100

// check returns err, or [io.ErrNoProgress] if a read of up to size bytes gave
// nothing once too often in a row.
func (p *progress) check(size, n int, err error) error {
	if n > 0 || err != nil || size == 0 {
		p.idle = 0
		return err
	}
	if p.idle++; p.idle > maxIdleReads {
		return io.ErrNoProgress
	}
	return nil
}

// closeBody closes the request's body, as a RoundTripper must.
func (c *call) closeBody() {
	if c.req.Body != nil {
		c.req.Body.Close()
		c.kept.Discard()
	}
}

// closeBodyAfter closes the request's body together with the response's. Where
// the request is sent from a copy, nothing else does.
func (c *call) closeBodyAfter(res *http.Response) {
	if c.req.Body == nil || c.req.GetBody != nil || res.StatusCode == http.StatusSwitchingProtocols {
		return
	}
	res.Body = closingBoth{res.Body, c.req.Body, c.kept}
}

// A closingBoth is a response's body that closes the request's as well.
type closingBoth struct {
	io.ReadCloser
	request io.Closer
	kept    *replay.Body // of the request; may be nil
}

// IsBuffered is that of the response's body.
func (c closingBoth) IsBuffered(length int64) bool {
	body, ok := c.ReadCloser.(interface{ IsBuffered(int64) bool })
	return ok && body.IsBuffered(length)
}

func (c closingBoth) Close() error {
	err := errors.Join(c.ReadCloser.Close(), c.request.Close())
	c.kept.Discard()
	return err
}
