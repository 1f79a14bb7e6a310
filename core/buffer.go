package core

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"

	"example.com/relay/core/internal/memory"
)

const (
	// maxHeld is how much of an answer is held back.
	maxHeld = 1 << 20

	// firstHeld is the largest answer that is given its whole space at once: a
	// length is only what an upstream says.
	firstHeld = 32 << 10
)

var (
	errHeldMemory = errors.New("no memory left for answers that are held back")
	errHeldClosed = errors.New("read on closed response body")
)

// bufferResponse reads the body of an answer to its end before any of it is handed on,
// where the platform hides cuts, and JSON where there are several upstreams: of
// a region that goes between the header of its answer and the body, official
// SDKs make an error, while they ask again upon a 502. A body that is longer
// than is to be held, or for which the process has no memory left, goes on as it
// comes; where the platform hides cuts, the latter is errOverloaded. The whole
// must come within the idle time-out.
func (x *exchange) bufferResponse() error {
	res := x.res
	if !x.hidesCuts && !(x.pool.Several() && isJSON(res)) || !isHeld(res) {
		return nil
	}
	defer startIdle(x.idleTimeout, x.cancel).Stop()
	held := &heldBody{src: res.Body}
	if err := held.fill(res.ContentLength); err != nil && !(err == errHeldMemory && !x.hidesCuts) {
		held.free()
		if err == errHeldMemory {
			err = errOverloaded.because(err)
		}
		return err
	}
	res.Body = held
	return nil
}

// A heldBody is a body some of which was read already. Close may be called at
// any time.
type heldBody struct {
	src io.ReadCloser

	mu     sync.Mutex // guards the rest
	kept   []byte
	off    int          // how much of kept was read
	share  memory.Share // of kept
	whole  bool         // nothing is behind kept
	closed bool
}

// fill reads up to maxHeld bytes of an answer of length bytes, or -1 if that is
// not known.
func (b *heldBody) fill(length int64) error {
	first := int64(4 << 10)
	if length >= 0 {
		first = min(length, firstHeld)
	}
	kept := make([]byte, 0, max(first, 1))
	for {
		if len(kept) == cap(kept) {
			size := min(2*len(kept), maxHeld)
			if len(kept) == maxHeld || !b.share.Grow(size) {
				b.kept = kept
				if len(kept) == maxHeld {
					return nil
				}
				return errHeldMemory
			}
			kept = slices.Grow(kept, size-len(kept))
			kept = kept[:len(kept):min(cap(kept), maxHeld)]
		}
		n, err := b.src.Read(kept[len(kept):cap(kept)])
		kept = kept[:len(kept)+n]
		if err != nil {
			b.kept, b.whole = kept, err == io.EOF
			if b.whole {
				return nil
			}
			return err
		}
	}
}

func (b *heldBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, errHeldClosed
	}
	if b.off < len(b.kept) {
		n := copy(p, b.kept[b.off:])
		if b.off += n; b.off == len(b.kept) && b.whole {
			return n, io.EOF
		}
		return n, nil
	}
	if b.whole {
		return 0, io.EOF
	}
	b.free()
	b.mu.Unlock() // src may wait, and Close must not
	n, err := b.src.Read(p)
	b.mu.Lock()
	return n, err
}

// Close closes the body.
func (b *heldBody) Close() error {
	b.mu.Lock()
	b.closed = true
	b.free()
	b.mu.Unlock()
	return b.src.Close()
}

// free gives back what was kept.
func (b *heldBody) free() {
	b.kept, b.off = nil, 0
	b.share.Release()
}

// isHeld reports whether an answer may be waited for: event streams may not.
func isHeld(res *http.Response) bool {
	return mediaType(res.Header) != "text/event-stream" && res.ContentLength <= maxHeld
}

// isJSON reports whether an answer comes as a whole, unlike sound and files.
func isJSON(res *http.Response) bool { return mediaType(res.Header) == "application/json" }
