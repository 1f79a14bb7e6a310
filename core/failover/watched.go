package failover

import (
	"errors"
	"io"
	"sync/atomic"

	"example.com/relay/core/internal/replay"
)

// A watched is a request's body that remembers why it broke off, and breaks off
// where it does not have the length that the request says: no upstream is to
// blame for what comes of that.
type watched struct {
	io.ReadCloser
	left int64 // of its length; -1 if that is not known
	idle progress
	err  atomic.Pointer[error]
}

// watch returns body watched, or nil if there is none. A length of 0 is unknown.
func watch(body io.ReadCloser, length int64) *watched {
	if body == nil {
		return nil
	}
	if length <= 0 {
		length = -1
	}
	return &watched{ReadCloser: body, left: length}
}

func (w *watched) Read(p []byte) (int, error) {
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

// failure returns why the body broke off, or nil.
func (w *watched) failure() error {
	if w == nil {
		return nil
	}
	if err := w.err.Load(); err != nil {
		return *err
	}
	return nil
}

// A progress counts reads that gave neither bytes nor an error: who reads on
// after them would never end.
type progress struct{ idle int }

// maxIdleReads is how many of them in a row are put up with.
const maxIdleReads = 100

// check returns err, or [io.ErrNoProgress] if a read of up to size bytes gave
// nothing once too often.
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
