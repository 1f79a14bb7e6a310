package failover

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"example.com/relay/core/internal/replay"
)

// A watchedBody is a request's body that remembers why it broke off. The
// transport reads it in a goroutine of its own.
type watchedBody struct {
	io.ReadCloser
	err atomic.Pointer[error]
}

// watch returns body watched, or nil if it is nil.
func watch(body io.ReadCloser) *watchedBody {
	if body == nil {
		return nil
	}
	return &watchedBody{ReadCloser: body}
}

func (w *watchedBody) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if err != nil && err != io.EOF && !errors.Is(err, replay.ErrClosed) {
		why := err // which escapes, unlike err
		w.err.Store(&why)
	}
	return n, err
}

// failure returns why the body broke off, or nil.
func (w *watchedBody) failure() error {
	if w == nil {
		return nil
	}
	if err := w.err.Load(); err != nil {
		return *err
	}
	return nil
}

// closeBody closes the request's body, as a RoundTripper must.
func (c *call) closeBody() {
	if c.req.Body != nil {
		c.req.Body.Close()
	}
}

// closeBodyAfter closes the request's body together with the response's. Where
// the request is sent from a copy, nothing else does.
func (c *call) closeBodyAfter(res *http.Response) {
	if c.req.Body == nil || c.req.GetBody != nil || res.StatusCode == http.StatusSwitchingProtocols {
		return
	}
	res.Body = closingBoth{res.Body, c.req.Body}
}

// A closingBoth is a response's body that closes the request's as well.
type closingBoth struct {
	io.ReadCloser
	request io.Closer
}

// Whole is that of the response's body.
func (c closingBoth) Whole(length int64) bool {
	whole, ok := c.ReadCloser.(interface{ Whole(int64) bool })
	return ok && whole.Whole(length)
}

func (c closingBoth) Close() error {
	return errors.Join(c.ReadCloser.Close(), c.request.Close())
}
