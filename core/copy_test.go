package core

import (
	"io"
	"net/http"
	"slices"
	"testing"
	"time"
)

// A nullWriter is a client that takes everything at no cost.
type nullWriter struct {
	h       http.Header
	n       int64
	flushes int

	broken   error     // what flushes say
	deadline time.Time // the last one
	late     int       // writes behind it
}

func (w *nullWriter) Header() http.Header                { return w.h }
func (w *nullWriter) WriteHeader(int)                    {}
func (w *nullWriter) FlushError() error                  { w.flushes++; return w.broken }
func (w *nullWriter) SetWriteDeadline(t time.Time) error { w.deadline = t; return nil }
func (w *nullWriter) Unwrap() http.ResponseWriter        { return nil }
func (w *nullWriter) SetReadDeadline(t time.Time) error  { return nil }

func (w *nullWriter) Write(p []byte) (int, error) {
	if w.n += int64(len(p)); !w.deadline.IsZero() && time.Now().After(w.deadline) {
		w.late++
	}
	return len(p), nil
}

// An eventReader is a body of n events, each in a read of its own.
type eventReader struct{ n int }

func (r *eventReader) Read(p []byte) (int, error) {
	if r.n == 0 {
		return 0, io.EOF
	}
	r.n--
	return copy(p, event), nil
}

// copyEvents copies n events through a stream as an exchange does.
func copyEvents(tb testing.TB, w *nullWriter, n int, keepalive time.Duration) {
	rw := &recordWriter{ResponseWriter: w, rc: http.NewResponseController(w), rec: new(record)}
	s := &stream{
		w: rw, rc: http.NewResponseController(rw), buffers: &eventBuffers, cancel: func(error) {}, events: true,
		idleTimeout: time.Minute, writeTimeout: time.Minute, keepalive: keepalive,
	}
	if err := s.copy(&eventReader{n}); err != nil {
		tb.Fatal(err)
	}
}

// The copy loop allocates nothing: a thousand events cost no more than one.
func TestCopyLoopDoesNotAllocate(t *testing.T) {
	for _, keepalive := range []time.Duration{0, time.Minute} {
		w := &nullWriter{}
		few := testing.AllocsPerRun(100, func() { copyEvents(t, w, 1, keepalive) })
		many := testing.AllocsPerRun(100, func() { copyEvents(t, w, 1001, keepalive) })
		if many-few >= 1 {
			t.Errorf("keepalive %v: 1000 more events cost %v allocations", keepalive, many-few)
		}
		if w.flushes == 0 || w.n == 0 {
			t.Error("nothing was written")
		}
	}
}

func BenchmarkCopyLoop(b *testing.B) {
	w := &nullWriter{}
	b.ReportAllocs()
	b.SetBytes(int64(len(event)))
	copyEvents(b, w, b.N, 0)
	if w.flushes != b.N {
		b.Errorf("%d flushes for %d events", w.flushes, b.N)
	}
}

// A burstReader is a body of reads of given sizes. It notes the buffers that it gets.
type burstReader struct{ sizes, buffers []int }

func (r *burstReader) Read(p []byte) (int, error) {
	if len(r.sizes) == 0 {
		return 0, io.EOF
	}
	r.buffers = append(r.buffers, len(p))
	n := min(r.sizes[0], len(p))
	r.sizes = r.sizes[1:]
	return n, nil
}

// An event stream waits with a small buffer, and has a larger one while there is more
// than that to read.
func TestEventBufferGrowsInBursts(t *testing.T) {
	const small, large = eventBufferSize, burstBufferSize
	w := &nullWriter{h: make(http.Header)}
	body := &burstReader{sizes: []int{100, small, large, small, small - 1, 100}}
	s := &stream{w: w, rc: http.NewResponseController(w), buffers: &eventBuffers, cancel: func(error) {}, events: true}
	if err := s.copy(body); err != nil {
		t.Fatal(err)
	}
	if want := []int{small, small, large, large, large, small}; !slices.Equal(body.buffers, want) {
		t.Errorf("reads have buffers of %v, want %v", body.buffers, want)
	}
	if want := int64(2*100 + 2*small + large + small - 1); w.n != want {
		t.Errorf("%d bytes were written, want %d", w.n, want)
	}
}
