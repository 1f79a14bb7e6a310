package core

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// maxReplay is how much of a request's body is kept for a second sending.
const maxReplay = 1 << 20

var (
	errReplayLimit = errors.New("request body is too large to be sent again")
	errBodyClosed  = errors.New("read on closed request body")
)

// A replayBody is a request's body that net/http can send again, over a new
// connection, when a pooled one turns out to be dead before anything was
// written. It keeps what was read, up to 1 MiB. A nil replayBody is that of a
// request without a body.
type replayBody struct {
	src  io.ReadCloser
	turn sync.Mutex // held by whoever reads src, however long that takes

	mu      sync.Mutex // guards the rest, held briefly
	kept    []byte
	begun   bool // something was read
	dropped bool // kept is not everything that was read
	err     error
	current *replayReader
}

func newReplayBody(req *http.Request) *replayBody {
	if !hasBody(req) {
		return nil
	}
	// What cannot be kept in full is not worth keeping in part.
	b := &replayBody{src: req.Body, dropped: req.ContentLength > maxReplay}
	if n := req.ContentLength; n > 0 && n <= bodyWindow {
		b.kept = make([]byte, 0, n)
	}
	return b
}

// open returns the body from its beginning, for the first sending.
func (b *replayBody) open() io.ReadCloser {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current = &replayReader{b: b}
	return b.current
}

// reopen returns the body from its beginning for another sending. The reader
// before it is no longer good.
func (b *replayBody) reopen() (io.ReadCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.begun && b.dropped {
		return nil, errReplayLimit
	}
	b.current = &replayReader{b: b}
	return b.current, nil
}

// rewind reports whether the body can be opened anew from its beginning.
func (b *replayBody) rewind() bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.begun || !b.dropped
}

// failure returns why the body broke off, or nil.
func (b *replayBody) failure() error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == io.EOF {
		return nil
	}
	return b.err
}

// done reports whether the body was read to its end.
func (b *replayBody) done() bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err == io.EOF
}

// forget frees what was kept: the answer has begun, so nothing is sent again.
func (b *replayBody) forget() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current != nil && b.current.off == len(b.kept) {
		b.current.off = 0
		b.kept, b.begun, b.dropped = nil, true, true
	}
}

// leftover is how long the server may wait for the rest of a body that nobody
// wants any more.
const leftover = time.Second

// close lets nobody read the body any more and returns when nobody does: the
// server is about to look for its end, or for the next request.
func (b *replayBody) close(rc *http.ResponseController) {
	if b == nil {
		return
	}
	b.mu.Lock()
	b.kept, b.begun, b.dropped, b.current = nil, true, true, nil
	unread := b.err == nil
	b.mu.Unlock()
	if !unread {
		return
	}
	// A read that waits for the client would hold the connection, and with it
	// the server, for as long as the client likes.
	_ = rc.SetReadDeadline(time.Unix(1, 0))
	b.turn.Lock()
	defer b.turn.Unlock()
	_ = rc.SetReadDeadline(time.Now().Add(leftover))
}

// A replayReader reads a replayBody once.
type replayReader struct {
	b   *replayBody
	off int // in kept
}

func (r *replayReader) Read(p []byte) (n int, err error) {
	r.b.turn.Lock()
	defer r.b.turn.Unlock()
	defer func() {
		// The transport's goroutine has nobody to recover: it would take the
		// process along. The value may hold anything.
		if recover() != nil {
			n, err = 0, ErrInternal
			r.keep(nil, err)
		}
	}()
	if n, err := r.readKept(p); n > 0 || err != nil {
		return n, err
	}
	n, err = r.b.src.Read(p)
	r.keep(p[:n], err)
	return n, err
}

// readKept reads what was read before, or returns the error that ended the
// body, or nothing.
func (r *replayReader) readKept(p []byte) (int, error) {
	b := r.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current != r {
		return 0, errBodyClosed
	}
	if r.off < len(b.kept) {
		n := copy(p, b.kept[r.off:])
		r.off += n
		return n, nil
	}
	return 0, b.err
}

// keep notes what was read from src.
func (r *replayReader) keep(p []byte, err error) {
	b := r.b
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begun, b.err = true, err
	switch {
	case b.dropped:
	case len(b.kept)+len(p) > maxReplay:
		b.kept, b.dropped = nil, true
	default:
		b.kept = append(b.kept, p...)
	}
	if b.current == r {
		r.off = len(b.kept)
	}
}

// Close ends this reader. The body itself is the server's to close.
func (r *replayReader) Close() error {
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	if r.b.current == r {
		r.b.current = nil
	}
	return nil
}
