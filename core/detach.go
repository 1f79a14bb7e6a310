package core

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// A detached is an event stream that goes on after its handler has returned, over a
// connection that was taken over from net/http. While a stream waits for its next
// event, it would otherwise hold net/http's buffers, both headers, and the stack of
// all stages: more than half of its memory.
type detached struct {
	x    *exchange
	s    *stream
	conn *clientConn
	ends []ender // of the stages that the request is in, innermost first
}

// An ender is something that a stage does when the request has ended.
type ender interface{ end() }

// atEnd ends e when the request has ended: now, unless its response is detached.
func (rec *record) atEnd(e ender) {
	if rec.detached == nil {
		e.end()
		return
	}
	rec.detached.ends = append(rec.detached.ends, e)
}

// detach reports whether the response is detached, of which the first events were sent:
// before them it would make them late, by what net/http takes to give up conn.
func (x *exchange) detach(s *stream, conn *clientConn) bool {
	s.mu.Lock() // for the keepalive comments
	defer s.mu.Unlock()
	s.detach = nil
	_, buffered, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		return false
	}
	pipelined, _ := buffered.Reader.Peek(buffered.Reader.Buffered())
	conn.unread = append(conn.unread, pipelined...)
	x.unlink() // net/http ends the request's context when the handler returns
	x.closeBody()
	rec := recordOf(x.req)
	if rw, ok := x.w.(*recordWriter); ok {
		rw.ResponseWriter, rw.rc = nil, nil // part of the record, which remains
	}
	w := &chunkedWriter{conn: conn, rec: rec}
	s.w, s.rc, s.deadlineSet = w, http.NewResponseController(w), time.Time{} // net/http has cleared it
	// Of the request and the header only the context is needed from here on.
	x.w, x.req = w, new(http.Request).WithContext(x.ctx)
	x.body, x.patience = nil, nil
	x.res.Header, x.res.Request = nil, nil
	rec.detached = &detached{x: x, s: s, conn: conn}
	return true
}

// detachable returns the client's connection if the response can go on without
// net/http, or nil: as a body in chunks, after which the connection can be reused.
func (x *exchange) detachable() *clientConn {
	conn, ok := x.req.Context().Value(clientConnKey{}).(*clientConn)
	if !ok || x.req.ProtoMajor != 1 || x.req.ProtoMinor < 1 || x.req.Close || !x.body.Done() {
		return nil
	}
	if x.req.Method == http.MethodHead || x.res.StatusCode == http.StatusNoContent ||
		x.res.StatusCode == http.StatusNotModified {
		return nil
	}
	if h := x.w.Header(); h["Connection"] != nil || h["Content-Length"] != nil {
		return nil
	}
	return conn
}

// start has the response go on in a goroutine of its own, whose stack is small.
func (d *detached) start(stage *recordStage, rec *record) {
	stage.relay.enter()
	go func() {
		defer stage.relay.leave()
		complete := d.copy(stage, rec)
		// When the client knows that the response has ended, it no longer counts.
		for _, e := range append(d.ends, ending(func() { stage.end(rec, rec) })) {
			complete = d.safely(stage, rec, e.end) && complete
		}
		if !complete || d.x.w.(*chunkedWriter).end() != nil {
			d.conn.Close() // without the last chunk, the response looks broken
			return
		}
		d.conn.reuse()
	}()
}

// ending is an ender that is a function.
type ending func()

func (f ending) end() { f() }

// safely calls f and reports whether it has not panicked: net/http, which would recover
// for a handler, is gone.
func (d *detached) safely(stage *recordStage, rec *record, f func()) (ok bool) {
	defer func() {
		if v := recover(); v != nil {
			stage.logPanic(rec)
			ok = false
		}
	}()
	f()
	return true
}

// copy copies the body to the client, and reports whether it is complete.
func (d *detached) copy(stage *recordStage, rec *record) (complete bool) {
	ok := d.safely(stage, rec, func() {
		defer d.x.res.Body.Close()
		if d.s.writeTimeout <= 0 {
			stop := context.AfterFunc(d.x.ctx, func() { _ = d.conn.SetWriteDeadline(time.Now().Add(lastWrites)) })
			defer stop()
		}
		d.conn.watchClient(func() { d.x.cancel(errClientGone) })
		err := d.x.copyBody(d.s, true)
		if err != nil {
			rec.fail(err)
		}
		complete = err == nil
	})
	if !ok {
		rec.fail(ErrInternal)
	}
	return ok && complete
}

// lastWrites is how long a client without a write timeout has to take the end of a
// stream that was cancelled: the server no longer closes its connection.
const lastWrites = time.Second

// chunkBuffers are for chunks that are being written.
var chunkBuffers = sync.Pool{New: func() any { b := make([]byte, 0, eventBufferSize+16); return &b }}

// A chunkedWriter writes each piece of a body at once, as a chunk (RFC 9112, section
// 7.1). The header was written before.
type chunkedWriter struct {
	conn *clientConn
	rec  *record
	err  error // of an earlier write, after which a chunk may be incomplete
}

func (w *chunkedWriter) Header() http.Header { return nil }

func (w *chunkedWriter) WriteHeader(int) {}

// FlushError does nothing: nothing is held back.
func (w *chunkedWriter) FlushError() error { return nil }

func (w *chunkedWriter) SetWriteDeadline(t time.Time) error { return w.conn.SetWriteDeadline(t) }

func (w *chunkedWriter) Write(p []byte) (int, error) {
	if w.err != nil || len(p) == 0 { // which as a chunk would be the end
		return 0, w.err
	}
	buf := chunkBuffers.Get().(*[]byte)
	defer chunkBuffers.Put(buf)
	b := append(strconv.AppendInt((*buf)[:0], int64(len(p)), 16), "\r\n"...)
	b = append(append(b, p...), "\r\n"...)
	if cap(b) <= 2*burstBufferSize {
		*buf = b
	}
	if _, w.err = w.conn.Write(b); w.err != nil {
		return 0, w.err
	}
	w.rec.bytesOut.Add(int64(len(p)))
	return len(p), nil
}

// end writes the last chunk.
func (w *chunkedWriter) end() error {
	if w.err == nil {
		_, w.err = w.conn.Write([]byte("0\r\n\r\n"))
	}
	return w.err
}
