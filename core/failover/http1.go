package failover

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// readBuffer is a connection's buffer for what it reads.
	readBuffer = 4 << 10

	// smallBody is the largest body that is written together with its header.
	smallBody = 32 << 10

	// staleAfter is how long it may take to read a small body without another look
	// at the connection.
	staleAfter = 500 * time.Microsecond

	// lastWrite is how long an answer that is over waits for the end of its
	// request, which the upstream has read by then, for the connection's sake.
	lastWrite = 50 * time.Millisecond

	// continueAfter is how long a body waits for the upstream's 100 (Continue)
	// if the request expects one (RFC 9110, section 10.1.1).
	continueAfter = time.Second
)

var (
	errHeaderTooLarge = errors.New("answer's header is too large")
	errInvalidRequest = errors.New("request cannot be written as HTTP/1.1")
	errBodyTooShort   = errors.New("request body is shorter than its length")
	errBodyTooLong    = errors.New("request body is longer than its length")
	errVersion        = errors.New("answer is of another version of HTTP than was asked for")
	errRequestBroke   = errors.New("request body broke off while the response came")
	errBodyClosed     = errors.New("read on closed response body")
)

// An http1 is a connection that speaks HTTP/1.1. It carries one request at a
// time and, unlike net/http's, needs no goroutines of its own for it: what most
// requests and events cost is waking them. Answers are parsed by net/http, but for
// those that ordinary reads.
type http1 struct {
	conn   net.Conn
	socket *socket // conn, or what TLS is spoken over
	br     *bufio.Reader
	header headerReader // below br

	wrote  atomic.Bool // something of the present request was written
	reused bool        // there was an answer before
	given  func()      // called when the connection can take another request
}

// newHTTP1 returns a connection over conn, which is the socket or TLS over it.
// given is called whenever an answer has ended and the connection can take
// another request.
func newHTTP1(conn net.Conn, socket *socket, given func()) *http1 {
	h := &http1{conn: conn, socket: socket, given: given}
	h.header.conn = conn
	h.br = bufio.NewReaderSize(&h.header, readBuffer)
	return h
}

// An exchange is one request and its answer on a connection.
type exchange struct {
	h      *http1
	ctx    context.Context
	unhook func() bool // keeps the end of ctx from ending the connection

	// Where the body is written while the answer is read:
	writer   chan struct{} // closed when that is over; nil if it was before
	proceed  chan struct{} // closed when the upstream wants the body, or an answer came
	once     sync.Once
	unwanted atomic.Bool           // an answer came before the body was asked for
	bodyErr  atomic.Pointer[error] // why the body broke off
	ending   atomic.Bool           // the last bytes of the request are written, or about to be
	complete bool                  // the whole request was written; valid once writer is closed

	expects   bool // the request asked for a 100 (Continue)
	continued bool // and got one
	suspect   bool // upstream and relay may disagree where a message ends

	finished atomic.Bool
	body     answerBody
}

// past ends what waits for a connection.
var past = time.Unix(1, 0)

// roundTrip sends req and returns the answer. If it fails, or its answer's body
// is not read to its end, the connection is closed.
func (h *http1) roundTrip(req *http.Request) (*http.Response, error) {
	h.wrote.Store(false)
	if h.br.Buffered() > 0 { // nobody has asked for that
		h.conn.Close()
		return nil, errPeerClosed
	}
	x := &exchange{h: h, ctx: req.Context()}
	x.unhook = context.AfterFunc(x.ctx, func() { _ = h.conn.SetDeadline(past) })
	res, err := x.do(req)
	if err != nil {
		x.unhook()
		h.conn.Close()
		switch bodyErr := x.bodyErr.Load(); {
		case bodyErr != nil:
			return nil, *bodyErr
		case x.ctx.Err() != nil:
			return nil, context.Cause(x.ctx)
		}
		return nil, err
	}
	return res, nil
}

func (x *exchange) do(req *http.Request) (*http.Response, error) {
	if err := x.write(req); err != nil {
		return nil, err
	}
	res, err := x.read(req)
	if err != nil {
		return nil, err
	}
	if res.Body == http.NoBody {
		x.finish(x.mayReuse(res))
		return res, nil
	}
	x.body = answerBody{x: x, src: res.Body, reusable: x.mayReuse(res)}
	res.Body = &x.body
	return res, nil
}

// mayReuse reports whether the connection may take another request after res,
// as far as the headers tell. Where the upstream may see the end of the request
// or of the response elsewhere than the relay does, what it sends or reads next
// is not what the relay believes it is: one client would get the response to
// another's request, or to one hidden in a body.
func (x *exchange) mayReuse(res *http.Response) bool {
	return !res.Close && res.ProtoMinor >= 1 && !x.suspect && (!x.expects || x.continued) && !announcesBody(res)
}

// announcesBody reports whether res has no body, by the request's method or by
// its status, and yet says that it has one: an upstream that sends it after all
// would begin the next response with it (RFC 9112, section 6.3).
func announcesBody(res *http.Response) bool {
	if res.Request.Method != http.MethodHead && res.StatusCode >= 200 &&
		res.StatusCode != http.StatusNoContent && res.StatusCode != http.StatusNotModified {
		return false
	}
	for _, length := range res.Header["Content-Length"] {
		if length != "0" {
			return true
		}
	}
	return len(res.TransferEncoding) > 0 || len(res.Header["Transfer-Encoding"]) > 0
}

// buffers are for headers and small bodies on their way out.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// write writes the request: in one piece if its body is small, else in another
// goroutine from the body on, since an upstream may answer before it has read
// everything.
func (x *exchange) write(req *http.Request) error {
	buf := buffers.Get().(*[]byte)
	head, err := appendHeader((*buf)[:0], req)
	if err != nil {
		buffers.Put(buf)
		return err
	}
	length := req.ContentLength
	if length == 0 {
		length = -1 // with a body, it means that nobody knows
	}
	x.expects = req.Body != nil && expectsContinue(req.Header)
	if req.Body == nil || length > 0 && length <= smallBody && !x.expects {
		defer buffers.Put(buf)
		if req.Body != nil {
			begun := now()
			if head, err = appendBody(head, req.Body, int(length)); err != nil {
				return err
			}
			if time.Duration(now()-begun) > staleAfter && x.h.isStale() { // the client took its time
				return errPeerClosed
			}
		}
		*buf = head
		x.complete = true
		return x.flush(head)
	}
	x.writer, x.proceed = make(chan struct{}), make(chan struct{})
	// The header goes first: an answer from before it would be to something else.
	err = x.flush(head)
	*buf = head
	buffers.Put(buf)
	if err != nil { // the reader finds out why, or finds an answer
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

// isStale reports whether the peer has closed the connection, or has said
// something, before it was sent anything. On a new connection it may have: TLS
// has tickets for later.
func (h *http1) isStale() bool {
	if h.reused {
		return !h.socket.usable()
	}
	return closedByPeer(h.socket.raw)
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
func (x *exchange) flush(p []byte) error {
	x.h.wrote.Store(true)
	_, err := x.h.conn.Write(p)
	return err
}

// writeBody writes the body. If it breaks off, so does the connection: the
// upstream must not take it for complete.
func (x *exchange) writeBody(req *http.Request, length int64) {
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
		x.h.conn.Close()
		return
	}
	if length < 0 && writeErr == nil {
		x.ending.Store(true)
		_, writeErr = io.WriteString(x.h.conn, "0\r\n\r\n")
	}
	x.complete = writeErr == nil
}

// waitForContinue reports whether the body is wanted, as far as one knows.
func (x *exchange) waitForContinue() bool {
	timer := time.NewTimer(continueAfter)
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

// read reads the answer's header. 1xx ones are not the answer.
func (x *exchange) read(req *http.Request) (*http.Response, error) {
	h := x.h
	h.header.limit(maxHeaderBytes, maxAllLines)
	for {
		res, err := h.readHeader(req)
		switch {
		case err != nil && h.header.exceeded():
			return nil, errHeaderTooLarge
		case err == io.EOF:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case res.ProtoMajor != 1:
			return nil, errVersion
		}
		x.suspect = x.suspect || h.header.twoLengths
		switch {
		case res.StatusCode >= 200 || res.StatusCode < 100 || res.StatusCode == http.StatusSwitchingProtocols:
			// Nobody asked for a switch, so the connection is good for nothing more.
			res.Close = res.Close || res.StatusCode == http.StatusSwitchingProtocols
			if x.writer != nil && !x.ending.Load() {
				x.suspect = true // the upstream may read on, or take the rest for a request
			}
			x.answer()
			h.header.lift()
			return res, nil
		case announcesBody(res):
			x.suspect = true
		}
		if res.StatusCode == http.StatusContinue && x.proceed != nil {
			x.continued = true
			x.once.Do(func() { close(x.proceed) })
		}
	}
}

// readHeader reads a header.
func (h *http1) readHeader(req *http.Request) (*http.Response, error) {
	if res, err := ordinary(h.br, req); res != nil || err != nil {
		return res, err
	}
	buffered, err := h.br.Peek(h.br.Buffered())
	if err != nil {
		return nil, err
	}
	if !h.header.begin(buffered) {
		return nil, errHeaderTooLarge
	}
	return http.ReadResponse(h.br, req)
}

// answer tells the writer that an answer came, so that a body which waits is not
// wanted.
func (x *exchange) answer() {
	if x.proceed != nil {
		x.once.Do(func() {
			x.unwanted.Store(true)
			close(x.proceed)
		})
	}
}

// finish ends the exchange after its answer. The connection goes on if nothing
// speaks against it.
func (x *exchange) finish(reusable bool) {
	if x.finished.Swap(true) {
		return
	}
	if !x.unhook() {
		reusable = false // ctx has ended, and the connection with it
	}
	if x.writer != nil && reusable {
		timer := time.NewTimer(lastWrite)
		select {
		case <-x.writer:
		case <-timer.C:
			reusable = false // the upstream did not want the rest
		}
		timer.Stop()
	}
	if reusable && (x.writer == nil || x.complete) && !x.h.hasMore() {
		x.h.reused = true
		x.h.given()
		return
	}
	x.h.conn.Close()
}

// hasMore reports whether something stands behind an answer that was read to its
// end: in the buffer, or in TLS, where a look at the socket does not find it.
func (h *http1) hasMore() bool {
	if h.br.Buffered() > 0 || h.conn == net.Conn(h.socket) {
		return h.br.Buffered() > 0
	}
	h.socket.deaf = true
	_, err := h.br.Peek(1)
	h.socket.deaf = false
	return err != errDeaf
}

// An answerBody is an answer's body on a connection.
type answerBody struct {
	x        *exchange
	src      io.ReadCloser
	reusable bool
	err      error // that Read has returned; Close sets finished alone
}

func (b *answerBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.x.finished.Load() { // the connection is closed, or another request's
		b.err = errBodyClosed
		return 0, b.err
	}
	n, err := b.src.Read(p)
	if err == nil {
		return n, nil
	}
	reusable := b.reusable && err == io.EOF
	if err != io.EOF {
		switch bodyErr := b.x.bodyErr.Load(); {
		case bodyErr != nil:
			err = fmt.Errorf("%w: %w", errRequestBroke, *bodyErr)
		case b.x.ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded):
			err = context.Cause(b.x.ctx)
		}
	}
	b.err = err
	b.x.finish(reusable)
	return n, err
}

// Buffered returns how many bytes of the body are there to be read without
// waiting.
func (b *answerBody) Buffered() int {
	if b.x.finished.Load() {
		return 0
	}
	return b.x.h.br.Buffered()
}

// Close ends the exchange. What is left of the body is not worth reading.
func (b *answerBody) Close() error {
	b.x.finish(false)
	return nil
}

// appendHeader appends the request's header as it goes on the wire.
func appendHeader(b []byte, req *http.Request) ([]byte, error) {
	uri := req.URL.RequestURI()
	// Of the forms of a target (RFC 9112, section 3.2) only a path leads nowhere else.
	if !strings.HasPrefix(uri, "/") || !isFieldValue(uri) || strings.ContainsAny(uri, " \t") || !isFieldValue(req.Host) || !isToken(req.Method) {
		return b, errInvalidRequest
	}
	b = append(append(append(append(b, req.Method...), ' '), uri...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, req.Host...), "\r\n"...)
	for name, values := range req.Header {
		if isFraming(name) || isExpect(name) && (req.Body == nil || !expectsContinue(req.Header)) {
			continue // ours to say
		}
		for _, value := range values {
			if name == "User-Agent" && value == "" {
				continue // as net/http has it: none
			}
			if !isToken(name) || !isFieldValue(value) {
				return b, fmt.Errorf("%w: header", errInvalidRequest)
			}
			b = append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
		}
	}
	switch {
	case req.Body == nil && (req.Method == http.MethodPost || req.Method == http.MethodPut || req.Method == http.MethodPatch):
		b = append(b, "Content-Length: 0\r\n"...)
	case req.Body != nil && req.ContentLength > 0:
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), req.ContentLength, 10), "\r\n"...)
	case req.Body != nil:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	return append(b, "\r\n"...), nil
}

// isFraming reports whether a header says where a request goes and ends.
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

// isExpect reports whether name is Expect, in whatever case.
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

// tokenBytes are those that a token may have.
var tokenBytes = func() (is [256]bool) {
	for c := '!'; c < 0x7f; c++ {
		is[c] = !strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	}
	return is
}()
