package core

import (
	"io"
	"net/http"
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
