package core

import (
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
	w := &chunkedWriter{conn, rec}
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
		for _, e := range d.ends {
			e.end()
		}
		stage.end(rec, rec)
		// When the client knows that the response has ended, it no longer counts.
		if complete {
			_, err := d.conn.Write([]byte("0\r\n\r\n"))
			complete = err == nil
		}
		if !complete {
			d.conn.Close() // without the last chunk, the response looks broken
			return
		}
		d.conn.reuse()
	}()
}

// copy copies the body to the client, and reports whether it is complete.
func (d *detached) copy(stage *recordStage, rec *record) (complete bool) {
	defer d.x.res.Body.Close()
	defer func() {
		if v := recover(); v != nil {
			stage.logPanic(rec)
			rec.fail(ErrInternal)
			complete = false
		}
	}()
	d.conn.watchClient(func() { d.x.cancel(errClientGone) })
	err := d.x.copyBody(d.s, true)
	if err != nil {
		rec.fail(err)
	}
	return err == nil
}

// chunkBuffers are for chunks that are being written.
var chunkBuffers = sync.Pool{New: func() any { b := make([]byte, 0, eventBufferSize+16); return &b }}

// A chunkedWriter writes each piece of a body at once, as a chunk (RFC 9112, section
// 7.1). The header was written before.
type chunkedWriter struct {
	conn *clientConn
	rec  *record
}

func (w *chunkedWriter) Header() http.Header { return nil }

func (w *chunkedWriter) WriteHeader(int) {}

// FlushError does nothing: nothing is held back.
func (w *chunkedWriter) FlushError() error { return nil }

func (w *chunkedWriter) SetWriteDeadline(t time.Time) error { return w.conn.SetWriteDeadline(t) }

func (w *chunkedWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil // which as a chunk would be the end
	}
	buf := chunkBuffers.Get().(*[]byte)
	defer chunkBuffers.Put(buf)
	b := append(strconv.AppendInt((*buf)[:0], int64(len(p)), 16), "\r\n"...)
	b = append(append(b, p...), "\r\n"...)
	if cap(b) <= 2*burstBufferSize {
		*buf = b
	}
	if _, err := w.conn.Write(b); err != nil {
		return 0, err
	}
	w.rec.bytesOut.Add(int64(len(p)))
	return len(p), nil
}
