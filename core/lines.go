package core

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// Listen returns ln as server is to serve r on it: requests with more header
// lines than the relay takes are refused while they come, before net/http makes
// a header of them, which costs a hundred times what they took to send. It sets
// server.ConnState. Only TCP connections are looked at.
func (r *Relay) Listen(server *http.Server, ln net.Listener) net.Listener {
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		if c, ok := conn.(*clientConn); ok {
			c.expectHeader(state == http.StateNew || state == http.StateIdle)
		}
	}
	return &clientListener{ln, r.marker}
}

// A clientListener accepts connections whose header lines are counted.
type clientListener struct {
	net.Listener
	marker string // X-Relay
}

// Accept waits for the next connection.
func (l *clientListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok && err == nil {
		return &clientConn{TCPConn: tcp, marker: l.marker}, nil
	}
	return conn, err
}

// A clientConn is a client's connection that counts the lines of headers as the
// server reads them. What a client sends on while its request is answered may
// be read along with that, and is not counted: at most the server's buffer of
// 4 KiB, and the limits stage counts again.
type clientConn struct {
	*net.TCPConn
	marker string

	inHeader atomic.Bool // a header is being read, or is the next to be

	// These are for whoever reads, which only one does at a time.
	lines int  // of this header so far
	blank bool // there is nothing in the line so far
	text  bool // there was a line that is not blank
}

// expectHeader says whether a request begins with what is read next.
func (c *clientConn) expectHeader(next bool) {
	if next {
		c.lines, c.blank, c.text = 0, true, false
	}
	c.inHeader.Store(next)
}

func (c *clientConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if n > 0 && c.inHeader.Load() && !c.count(p[:n]) {
		c.refuse()
		return 0, errTooManyLines
	}
	return n, err
}

// count counts the lines in p up to the end of the header, and reports whether
// they are not too many. Blank lines may stand in front of a request.
func (c *clientConn) count(p []byte) bool {
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			c.blank = c.blank && isBlank(p)
			return true
		}
		blank := c.blank && isBlank(p[:i])
		if blank && c.text {
			c.inHeader.Store(false)
			return true
		}
		c.text = c.text || !blank
		// The request line is none of them.
		if c.lines++; c.lines > maxHeaderLines+1 {
			return false
		}
		c.blank = true
		p = p[i+1:]
	}
}

// isBlank reports whether a line, or its beginning, is empty but for the CR of
// its end.
func isBlank(line []byte) bool { return len(line) == 0 || len(line) == 1 && line[0] == '\r' }

// errTooManyLines ends the server's reading. As an end of the file, it lets the
// server close the connection without an answer of its own.
var errTooManyLines = io.EOF

const (
	// refusalTime bounds how long a refused client is listened to. Were the
	// connection closed at once, a reset could overtake the answer.
	refusalTime = 500 * time.Millisecond
	// refusalBytes is how much of what it still sends is read.
	refusalBytes = 256 << 10
)

// refuse answers 431 in the server's place.
func (c *clientConn) refuse() {
	c.inHeader.Store(false)
	var answer bytes.Buffer
	w := &rawWriter{header: http.Header{"X-Relay": {c.marker}, "Connection": {"close"}}, out: &answer}
	errHeadersTooLarge.ServeHTTP(w, &http.Request{Method: http.MethodGet})
	_ = c.SetDeadline(time.Now().Add(refusalTime))
	if _, err := c.Write(answer.Bytes()); err != nil {
		return
	}
	_ = c.CloseWrite()
	_, _ = io.CopyN(io.Discard, onlyReader{c.TCPConn}, refusalBytes)
}

// An onlyReader is a Reader and nothing else.
type onlyReader struct{ io.Reader }

// A rawWriter writes a response as HTTP/1.1 has it.
type rawWriter struct {
	header http.Header
	out    *bytes.Buffer
}

func (w *rawWriter) Header() http.Header { return w.header }

func (w *rawWriter) WriteHeader(status int) {
	w.out.WriteString("HTTP/1.1 " + strconv.Itoa(status) + " " + http.StatusText(status) + "\r\n")
	_ = w.header.Write(w.out) // a buffer takes everything
	w.out.WriteString("\r\n")
}

func (w *rawWriter) Write(p []byte) (int, error) { return w.out.Write(p) }
