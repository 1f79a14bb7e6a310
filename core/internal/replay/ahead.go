package replay

import (
	"io"
	"sync/atomic"
	"time"
)

// Ahead reads up to size bytes of the body into what is kept, for as long as
// patience lasts, so that a sender knows how much there is before it sends. The
// reader still reads the body from where it was. Ahead returns how many bytes are
// kept and whether they are the whole body. It does not take the memory that it
// cannot have: the body can be sent again afterwards if it could be before.
func (r *reader) Ahead(size int, patience time.Duration) (kept int, whole bool) {
	var over atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, initial)
		for !over.Load() && r.fill(buf, size) {
		}
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		over.Store(true)
	}
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	return len(r.b.kept), r.b.err == io.EOF && !r.b.dropped
}

// fill reads once into what is kept, and reports whether to go on.
func (r *reader) fill(buf []byte, size int) (more bool) {
	b := r.b
	b.turn.Lock()
	defer b.turn.Unlock()
	room := r.beginFill(len(buf), size)
	if room <= 0 {
		return false
	}
	defer func() {
		if recover() != nil { // as in Read
			more = false
			r.keepAhead(nil, ErrPanic)
		}
	}()
	n, err := b.src.Read(buf[:room])
	r.keepAhead(buf[:n], err)
	return err == nil
}

// beginFill begins a read of src, after which up to size bytes are kept, and
// returns how many bytes it may bring, or 0 if there is to be none.
func (r *reader) beginFill(most, size int) (room int) {
	b := r.b
	b.mu.Lock()
	defer b.mu.Unlock()
	room = min(most, min(size, MaxBytes+1)-len(b.kept))
	if b.current != r || b.err != nil || b.dropped || room <= 0 || !b.share.Grow(len(b.kept)+room) {
		return 0
	}
	b.begun, b.pending = true, r
	return room
}

// keepAhead notes what was read from src, which the reader has yet to read.
func (r *reader) keepAhead(p []byte, err error) {
	b := r.b
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending, b.err = nil, err
	if !b.dropped || b.current != nil {
		b.kept = append(b.kept, p...)
	}
	b.freeRead()
}
