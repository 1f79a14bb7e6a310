// Package replay keeps a request's body so that it can be sent again: over a
// new connection, or to another upstream.
package replay

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"example.com/relay/core/internal/memory"
)

// MaxBytes is how much of a request's body is kept for another sending.
const MaxBytes = 1 << 20

// initial is the largest body that is given its whole space at once: a length
// is only what a client says.
const initial = 32 << 10

var (
	// ErrTooLarge says that a body cannot be sent again since not all of it
	// was kept.
	ErrTooLarge = errors.New("request body is too large to be sent again")
	// ErrClosed says that a body is no longer to be read.
	ErrClosed = errors.New("read on closed request body")
	// ErrPanic says that reading a body panicked.
	ErrPanic = errors.New("reading the request body panicked")
)

// A Body is a request's body that can be sent again: what was read of it is
// kept, up to 1 MiB, as long as the process has memory for that. A nil Body is
// that of a request without a body. It is safe for concurrent use.
//
// The invariant is that a reader gets the body from its first byte on, without a
// gap, or an error: [Body.Reopen] refuses unless everything that was read, and
// everything that a pending read may bring, is kept.
type Body struct {
	src  io.ReadCloser
	turn sync.Mutex // held by whoever reads src, however long that takes

	mu        sync.Mutex // guards the rest, held briefly
	kept      []byte
	share     memory.Share // of kept
	begun     bool         // a read of src has begun
	dropped   bool         // kept is not, or will not be, everything that was read
	forgotten bool         // kept is for current alone, until that has read it
	pending   *reader      // reads src at present; nil if nobody does
	err       error
	current   *reader
	first     reader
}

// New returns the body of a request that src reads, of length bytes or -1 if
// that is not known.
func New(src io.ReadCloser, length int64) *Body {
	// What cannot be kept in full is not worth keeping in part.
	b := &Body{src: src, dropped: length > MaxBytes}
	if length > 0 && length <= initial {
		b.kept = make([]byte, 0, length)
	}
	return b
}

// Open returns the body from its beginning, for the first sending.
func (b *Body) Open() io.ReadCloser {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.first.b = b
	b.current = &b.first
	return b.current
}

// Reopen returns the body from its beginning for another sending. The reader
// before it is no longer good. If that reader waits for more of the body, the
// new one gets what comes then in its turn.
func (b *Body) Reopen() (io.ReadCloser, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.begun && b.dropped {
		return nil, ErrTooLarge
	}
	b.current = &reader{b: b}
	return b.current, nil
}

// Failure returns why the body broke off, or nil.
func (b *Body) Failure() error {
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

// settleTime is how long Settle waits at most.
const settleTime = 50 * time.Millisecond

// Settle waits a moment for a read that is under way. When a read of a request's
// body fails, net/http ends the request's context first and returns the error
// then: whoever sees the context end would not know yet that it was the body.
func (b *Body) Settle() {
	if b == nil {
		return
	}
	for begun := time.Now(); !b.turn.TryLock(); time.Sleep(100 * time.Microsecond) {
		if time.Since(begun) > settleTime {
			return
		}
	}
	b.turn.Unlock()
}

// Done reports whether the body was read to its end.
func (b *Body) Done() bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err == io.EOF
}

// Forget frees what was kept as soon as the present reader has read it: the
// response has begun, so nothing is sent again.
func (b *Body) Forget() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begun, b.dropped, b.forgotten = true, true, true
	b.freeRead()
}

// Discard lets nobody read the body any more and frees what was kept of it. A
// read that is under way may still end, and is not kept.
func (b *Body) Discard() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begun, b.dropped, b.current = true, true, nil
	b.free()
}

// freeRead frees what was kept once it is forgotten and nobody needs it.
func (b *Body) freeRead() {
	if !b.forgotten {
		return
	}
	if r := b.current; r != nil {
		if r.off < len(b.kept) || b.pending != nil && b.pending != r {
			return // r has not read it, or gets what somebody else is reading
		}
		r.off = 0
	}
	b.free()
}

// free frees what was kept.
func (b *Body) free() {
	b.kept = nil
	b.share.Release()
}

// leftover is how long the server may wait for the rest of a body that nobody
// wants any more.
const leftover = time.Second

// Close lets nobody read the body any more and returns when nobody does: the
// server is about to look for its end, or for the next request.
func (b *Body) Close(rc *http.ResponseController) {
	if b == nil {
		return
	}
	b.mu.Lock()
	b.begun, b.dropped, b.current = true, true, nil
	b.free()
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

// A reader reads a Body once.
type reader struct {
	b   *Body
	off int // in kept
}

func (r *reader) Read(p []byte) (n int, err error) {
	if n, err := r.readKept(p); n > 0 || err != nil || len(p) == 0 {
		return n, err
	}
	r.b.turn.Lock()
	defer r.b.turn.Unlock()
	n, room, err := r.begin(p)
	if n > 0 || err != nil {
		return n, err
	}
	defer func() {
		// The transport's goroutine has nobody to recover: it would take the
		// process along. The value may hold anything.
		if recover() != nil {
			n, err = 0, ErrPanic
			r.keep(nil, err)
		}
	}()
	n, err = r.b.src.Read(p[:room])
	r.keep(p[:n], err)
	return n, err
}

// readKept reads what was read before. If there is nothing, it returns the error
// that ended the body, or nothing.
func (r *reader) readKept(p []byte) (int, error) {
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	return r.takeKept(p)
}

// takeKept does that under the lock.
func (r *reader) takeKept(p []byte) (int, error) {
	b := r.b
	if b.current != r {
		return 0, ErrClosed
	}
	if r.off < len(b.kept) {
		n := copy(p, b.kept[r.off:])
		r.off += n
		b.freeRead()
		return n, nil
	}
	return 0, b.err
}

// begin is takeKept, or, if there is nothing, begins a read of src of up to room
// bytes: from here on they are sure to be kept, or the body cannot be sent
// again.
func (r *reader) begin(p []byte) (n, room int, err error) {
	b := r.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if n, err := r.takeKept(p); n > 0 || err != nil {
		return n, 0, err
	}
	b.begun, b.pending = true, r
	if b.dropped {
		return 0, len(p), nil
	}
	// One byte more than is kept tells a body of that size from a larger one.
	room = min(len(p), MaxBytes+1-len(b.kept))
	if room <= 0 || !b.share.Grow(len(b.kept)+room) {
		b.dropped, r.off = true, 0
		b.free()
		return 0, len(p), nil
	}
	return 0, room, nil
}

// keep notes what was read from src.
func (r *reader) keep(p []byte, err error) {
	b := r.b
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending, b.err = nil, err
	if !b.dropped || b.current != nil && b.current != r {
		b.kept = append(b.kept, p...)
	}
	if b.current == r {
		r.off = len(b.kept)
	}
	b.freeRead()
}

// Close ends this reader. The body itself is the server's to close.
func (r *reader) Close() error {
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	if r.b.current == r {
		r.b.current = nil
		r.b.freeRead()
	}
	return nil
}
