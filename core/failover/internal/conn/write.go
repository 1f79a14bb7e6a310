package conn

import (
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// smallBody is the largest body that is written together with its header.
	smallBody = 32 << 10

	// staleAfter is how long ago the connection may have been checked before a
	// request is written: reading a small body may take as long as the client likes.
	staleAfter = 500 * time.Microsecond

	// continueTimeout is how long a body waits for the upstream's 100 (Continue) if
	// the request expects one (RFC 9110, section 10.1.1).
	continueTimeout = time.Second
)

// buffers are for headers and small bodies that are written.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// write writes the request: in one piece if its body is small. A larger body is
// written by another goroutine, since an upstream may respond before it has read
// everything.
func (x *roundTrip) write(req *http.Request) error {
	buf := buffers.Get().(*[]byte)
	head, err := appendHeader((*buf)[:0], req)
	if err != nil {
		buffers.Put(buf)
		return err
	}
	length := req.ContentLength
	if length == 0 {
		length = -1 // with a body, 0 means unknown
	}
	x.expects = req.Body != nil && expectsContinue(req.Header)
	if req.Body == nil || length > 0 && length <= smallBody && !x.expects {
		defer buffers.Put(buf)
		if req.Body != nil {
			if head, err = appendBody(head, req.Body, int(length)); err != nil {
				return err
			}
		}
		if time.Since(x.h.checked) > staleAfter && x.h.isStale() { // the client or this machine was slow
			return errPeerClosed
		}
		*buf = head
		x.complete = true
		return x.flush(head)
	}
	x.writer, x.proceed = make(chan struct{}), make(chan struct{})
	// The header goes first: a response from before it would be to something else.
	err = x.flush(head)
	*buf = head
	buffers.Put(buf)
	if err != nil { // the reader finds out why, or finds a response
		close(x.writer)
		req.Body.Close()
		return nil
	}
	go func() {
		defer close(x.writer)
		x.writeBody(req, length)
	}()
	return nil
}

// expectsContinue reports whether a request asks for a 100 (Continue) and for
// nothing else. Only such an expectation is sent: of any other, two programs may
// have two opinions on whether the body is awaited (RFC 9110, section 10.1.1).
func expectsContinue(h http.Header) bool {
	values := h["Expect"]
	return len(values) == 1 && strings.EqualFold(values[0], "100-continue")
}

// appendBody appends the whole of a body.
func appendBody(b []byte, body io.ReadCloser, length int) ([]byte, error) {
	n := len(b)
	b = append(b, make([]byte, length)...)
	if _, err := io.ReadFull(body, b[n:]); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = errBodyTooShort
		}
		return b, err
	}
	return b, body.Close()
}

// flush writes p.
func (x *roundTrip) flush(p []byte) error {
	x.h.wrote.Store(true)
	_, err := x.h.conn.Write(p)
	return err
}

// writeBody writes the body. If it fails, the connection is closed: the upstream
// must not take the body for complete.
func (x *roundTrip) writeBody(req *http.Request, length int64) {
	defer req.Body.Close()
	if x.expects && !x.waitForContinue() {
		return
	}
	var written int64
	var readErr, writeErr error
	if length < 0 {
		_, readErr, writeErr = copyBody(chunkWriter{x.h.conn}, req.Body, math.MaxInt64, func() {})
	} else {
		written, readErr, writeErr = copyBody(x.h.conn, req.Body, length, func() { x.ending.Store(true) })
	}
	if readErr == nil && writeErr == nil && written < length {
		readErr = errBodyTooShort
	}
	if readErr != nil {
		x.bodyErr.Store(&readErr)
		x.h.Close()
		return
	}
	if length < 0 && writeErr == nil {
		x.ending.Store(true)
		_, writeErr = io.WriteString(x.h.conn, "0\r\n\r\n")
	}
	x.complete = writeErr == nil
}

// waitForContinue reports whether the body is wanted, or may be.
func (x *roundTrip) waitForContinue() bool {
	timer := time.NewTimer(continueTimeout)
	defer timer.Stop()
	select {
	case <-x.proceed:
		return !x.unwanted.Load()
	case <-timer.C:
		return true
	case <-x.ctx.Done():
		return false
	}
}

// copyBody copies up to length bytes of body and tells apart which side failed.
// It calls last before it writes the last of them.
func copyBody(w io.Writer, body io.Reader, length int64, last func()) (written int64, readErr, writeErr error) {
	buf := bodyBuffers.Get().(*[]byte)
	defer bodyBuffers.Put(buf)
	for written < length {
		n, err := body.Read((*buf)[:min(int64(len(*buf)), length-written)])
		if n > 0 {
			if written+int64(n) == length {
				last()
			}
			if _, err := w.Write((*buf)[:n]); err != nil {
				return written, nil, err
			}
			written += int64(n)
		}
		if err == io.EOF {
			return written, nil, nil
		}
		if err != nil {
			return written, err, nil
		}
	}
	return written, nil, nil
}

var bodyBuffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// A chunkWriter writes each piece as a chunk (RFC 9112, section 7.1).
type chunkWriter struct{ conn net.Conn }

func (w chunkWriter) Write(p []byte) (int, error) {
	pieces := net.Buffers{append(strconv.AppendInt(nil, int64(len(p)), 16), "\r\n"...), p, []byte("\r\n")}
	if _, err := pieces.WriteTo(w.conn); err != nil {
		return 0, err
	}
	return len(p), nil
}

// appendHeader appends the request's header as it goes on the wire.
func appendHeader(b []byte, req *http.Request) ([]byte, error) {
	uri := req.URL.RequestURI()
	// Of the forms of a target (RFC 9112, section 3.2), only a path cannot name another
	// host.
	if !strings.HasPrefix(uri, "/") || !isFieldValue(uri) || strings.ContainsAny(uri, " \t") ||
		!isFieldValue(req.Host) || !isToken(req.Method) {
		return b, errInvalidRequest
	}
	b = append(append(append(append(b, req.Method...), ' '), uri...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, req.Host...), "\r\n"...)
	for name, values := range req.Header {
		if isFraming(name) || isExpect(name) && (req.Body == nil || !expectsContinue(req.Header)) {
			continue // written below, or not at all
		}
		for _, value := range values {
			if name == "User-Agent" && value == "" {
				continue // like net/http: no such header
			}
			if !isToken(name) || !isFieldValue(value) {
				return b, fmt.Errorf("%w: header", errInvalidRequest)
			}
			b = append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
		}
	}
	switch {
	case req.Body == nil &&
		(req.Method == http.MethodPost || req.Method == http.MethodPut || req.Method == http.MethodPatch):
		b = append(b, "Content-Length: 0\r\n"...)
	case req.Body != nil && req.ContentLength > 0:
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), req.ContentLength, 10), "\r\n"...)
	case req.Body != nil:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	return append(b, "\r\n"...), nil
}

// isFraming reports whether a header says where a request goes or ends.
func isFraming(name string) bool {
	switch len(name) {
	case len("Host"):
		return strings.EqualFold(name, "Host")
	case len("Trailer"):
		return strings.EqualFold(name, "Trailer")
	case len("Content-Length"):
		return strings.EqualFold(name, "Content-Length")
	case len("Transfer-Encoding"):
		return strings.EqualFold(name, "Transfer-Encoding")
	}
	return false
}

// isExpect reports whether name is Expect, in any case.
func isExpect(name string) bool {
	return len(name) == len("Expect") && strings.EqualFold(name, "Expect")
}

// isFieldValue reports whether s can stand in a header line (RFC 9110, section
// 5.5).
func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// isToken reports whether s is a token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		if !tokenBytes[s[i]] {
			return false
		}
	}
	return s != ""
}

// tokenBytes are the bytes that a token may have.
var tokenBytes = func() (is [256]bool) {
	for c := '!'; c < 0x7f; c++ {
		is[c] = !strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	}
	return is
}()
