package core

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"example.com/relay/core/internal/tcp"
	"example.com/relay/core/protocol"
)

// Listen wraps ln for server, which must serve r: requests with too many header
// lines are refused while they are read, before net/http parses them, which would
// take a hundred times the memory. Event streams are detached: the server's handler
// returns once their first events are sent, and the relay takes their connections over
// until they end; server.Close and server.Shutdown do not wait for them, as
// r.Shutdown does. It reads server.IdleTimeout, and sets server.ConnState and
// server.ConnContext. All that is so for TCP connections only.
func (r *Relay) Listen(server *http.Server, ln net.Listener) net.Listener {
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		if c, ok := conn.(*clientConn); ok {
			c.expectHeader(state == http.StateNew || state == http.StateIdle)
		}
	}
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		if c, ok := conn.(*clientConn); ok {
			return context.WithValue(ctx, clientConnKey{}, c)
		}
		return ctx
	}
	return &clientListener{ln, r.marker, newReusedListener(server, ln.Addr())}
}

// A clientListener accepts connections whose header lines are counted.
type clientListener struct {
	net.Listener
	marker string // X-Relay
	reused *reusedListener
}

// Accept waits for the next connection.
func (l *clientListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	accepted, ok := conn.(*net.TCPConn)
	if !ok || err != nil {
		return conn, err
	}
	c, err := tcp.New(accepted)
	if err != nil {
		accepted.Close() // what has failed is this connection, not the listener
		return conn, nil
	}
	return &clientConn{Conn: c, marker: l.marker, reused: l.reused}, nil
}

// Close closes the listener, and the connections that it accepted and that wait to
// be reused.
func (l *clientListener) Close() error {
	return errors.Join(l.Listener.Close(), l.reused.Close())
}

// A clientConn is a client's connection that counts header lines as the server
// reads them. A pipelined request that is read together with the one before it is
// not counted; that is at most the server's buffer of 4 KiB, and the limits stage
// counts again.
type clientConn struct {
	*tcp.Conn
	marker string

	// Of a connection that was taken over from the server:
	reused *reusedListener
	watch  *clientWatch
	unread []byte // what was read, and not by the server

	inHeader atomic.Bool // what is read now, or next, is a header

	// Used by the one goroutine that reads:
	lines   int  // of this header so far
	blank   bool // the current line is empty so far
	hasText bool // there was a line that is not blank
}

// expectHeader sets whether what is read next is the beginning of a request.
func (c *clientConn) expectHeader(next bool) {
	if next {
		c.lines, c.blank, c.hasText = 0, true, false
	}
	c.inHeader.Store(next)
}

func (c *clientConn) Read(p []byte) (int, error) {
	n, err := c.read(p)
	if n > 0 && c.inHeader.Load() && !c.count(p[:n]) {
		c.refuse()
		return 0, errTooManyLines
	}
	return n, err
}

// read reads what is left of what was read before, or from the connection.
func (c *clientConn) read(p []byte) (int, error) {
	if len(c.unread) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.unread)
	if c.unread = c.unread[n:]; len(c.unread) == 0 {
		c.unread = nil
	}
	return n, nil
}

// count counts the lines in p up to the end of the header, and reports whether
// they are within the limit. Blank lines may precede a request.
func (c *clientConn) count(p []byte) bool {
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			c.blank = c.blank && isBlank(p)
			return true
		}
		blank := c.blank && isBlank(p[:i])
		if blank && c.hasText {
			c.inHeader.Store(false)
			return true
		}
		c.hasText = c.hasText || !blank
		c.lines++
		if c.lines > maxHeaderLines+1 { // the request line is not a header
			return false
		}
		c.blank = true
		p = p[i+1:]
	}
}

// isBlank reports whether a line, or its beginning, is empty or only the CR of the
// line break.
func isBlank(line []byte) bool { return len(line) == 0 || len(line) == 1 && line[0] == '\r' }

// errTooManyLines ends the server's reading. On EOF, the server closes the
// connection without a response of its own.
var errTooManyLines = io.EOF

const (
	// refusalTimeout is how long a refused client's bytes are still read. If the
	// connection were closed at once, a reset could overtake the response.
	refusalTimeout = 500 * time.Millisecond
	// refusalBytes is the max number of these bytes.
	refusalBytes = 256 << 10
)

// refuse responds with 431 in place of the server.
func (c *clientConn) refuse() {
	c.inHeader.Store(false)
	var response bytes.Buffer
	w := &rawWriter{header: http.Header{protocol.Marker: {c.marker}, "Connection": {"close"}}, out: &response}
	errHeadersTooLarge.ServeHTTP(w, &http.Request{Method: http.MethodGet})
	_ = c.SetDeadline(time.Now().Add(refusalTimeout))
	if _, err := c.Write(response.Bytes()); err != nil {
		return
	}
	_ = c.CloseWrite()
	_, _ = io.CopyN(io.Discard, onlyReader{c.Conn}, refusalBytes)
}

// An onlyReader hides all methods but Read.
type onlyReader struct{ io.Reader }

// A rawWriter writes a response in the format of HTTP/1.1.
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
