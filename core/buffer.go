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
	// maxBuffered is the largest response that is buffered.
	maxBuffered = 1 << 20

	// initialBuffer is the largest buffer that is allocated for a Content-Length
	// alone, which an upstream may get wrong.
	initialBuffer = 32 << 10
)

var (
	errBufferMemory = errors.New("no memory left for buffered responses")
	errBodyClosed   = errors.New("read on closed response body")
)

// bufferResponse reads the whole body before any of it is forwarded: on a platform
// that hides truncation, and of JSON responses if there are several upstreams. If
// a region fails between header and body, official SDKs raise an error; a 502
// they retry. A body that turns out longer than maxBuffered is streamed, and so
// is one for which no memory is left, unless the platform hides truncation: then
// the error is errBufferMemory. The whole body must arrive within the idle timeout.
func (x *exchange) bufferResponse(res *http.Response) error {
	if !x.hidesCuts && !(x.pool.Several() && isJSON(res)) || !mayBuffer(res) {
		return nil
	}
	defer startIdleTimer(x.idleTimeout, x.cancel).Stop()
	body := &bufferedBody{src: res.Body}
	res.Body = body
	err := body.fill(res.ContentLength)
	if err == nil || err == errBufferMemory && !x.hidesCuts {
		return nil
	}
	body.free()
	return err
}

// A bufferedBody is a body of which the beginning, or all, is in memory. Close may
// be called during a Read.
type bufferedBody struct {
	src io.ReadCloser

	mu       sync.Mutex // guards the fields below, once fill has returned
	kept     []byte
	off      int          // how much of kept was read
	share    memory.Share // of kept
	complete bool         // src has nothing after kept
	closed   bool
}

// fill reads up to maxBuffered bytes. length is the body's, or -1 if unknown.
func (b *bufferedBody) fill(length int64) error {
	first := int64(4 << 10)
	if length >= 0 {
		first = min(length, initialBuffer)
	}
	kept := make([]byte, 0, max(first, 1))
	for {
		if len(kept) == cap(kept) {
			size := min(2*len(kept), maxBuffered)
			if len(kept) == maxBuffered || !b.share.Grow(size) {
				b.kept = kept
				if len(kept) == maxBuffered {
					return nil
				}
				return errBufferMemory
			}
			kept = slices.Grow(kept, size-len(kept))
			kept = kept[:len(kept):min(cap(kept), maxBuffered)]
		}
		n, err := b.src.Read(kept[len(kept):cap(kept)])
		kept = kept[:len(kept)+n]
		if err != nil {
			b.kept, b.complete = kept, err == io.EOF
			if b.complete {
				return nil
			}
			return err
		}
	}
}

func (b *bufferedBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, errBodyClosed
	}
	if b.off < len(b.kept) {
		n := copy(p, b.kept[b.off:])
		b.off += n
		if b.off == len(b.kept) && b.complete {
			return n, io.EOF
		}
		return n, nil
	}
	if b.complete {
		return 0, io.EOF
	}
	b.free()
	b.mu.Unlock() // a read of src may block, which Close must not
	n, err := b.src.Read(p)
	b.mu.Lock()
	return n, err
}

// Close closes the body.
func (b *bufferedBody) Close() error {
	b.mu.Lock()
	b.closed = true
	b.free()
	b.mu.Unlock()
	return b.src.Close()
}

// free releases the buffer.
func (b *bufferedBody) free() {
	b.kept, b.off = nil, 0
	b.share.Release()
}

// mayBuffer reports whether the body may be waited for: neither an event stream nor
// one that is known to be too long.
func mayBuffer(res *http.Response) bool {
	return mediaType(res.Header) != "text/event-stream" && res.ContentLength <= maxBuffered
}

// isJSON reports whether the body is JSON, which clients use only when they have
// all of it, unlike audio and files.
func isJSON(res *http.Response) bool { return mediaType(res.Header) == "application/json" }
