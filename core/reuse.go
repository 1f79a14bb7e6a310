package core

import (
	"bytes"
	"net"
	"net/http"
	"sync"
	"time"
)

// clientConnKey is the context key of a request's *clientConn.
type clientConnKey struct{}

// A clientWatch reads from a connection that was taken over from the server. While
// the response is under way, that tells when the client is gone, and afterwards,
// when it sends its next request.
type clientWatch struct {
	conn *clientConn
	b    [1]byte

	mu    sync.Mutex // guards what follows
	gone  func()     // called if the client is gone before the response has ended
	ended bool       // the response has
	done  bool       // nothing is being read
	err   error      // why not
}

// watchClient starts to watch. What was read is left to the server, except the line ends
// that some clients send after a body (RFC 9112, section 2.2).
func (c *clientConn) watchClient(gone func()) {
	c.unread = bytes.TrimLeft(c.unread, "\r\n")
	c.watch = &clientWatch{conn: c, gone: gone}
	if c.watch.done = len(c.unread) > 0; !c.watch.done {
		go c.watch.run()
	}
}

func (w *clientWatch) run() {
	n, err := w.conn.Conn.Read(w.b[:])
	for err == nil && (w.b[0] == '\r' || w.b[0] == '\n') {
		n, err = w.conn.Conn.Read(w.b[:])
	}
	w.mu.Lock()
	w.conn.unread = append(w.conn.unread, w.b[:n]...)
	w.done, w.err = true, err
	ended, gone := w.ended, w.gone
	w.mu.Unlock()
	switch {
	case ended:
		w.conn.reused.remove(w.conn)
		w.next()
	case err != nil:
		gone()
	}
}

// next gives the connection back to the server with the beginning of a request, or
// closes it.
func (w *clientWatch) next() {
	if w.err != nil {
		w.conn.Close()
		return
	}
	_ = w.conn.SetDeadline(time.Time{})
	w.conn.reused.serve(w.conn)
}

// reuse lets the client send its next request: the response has ended.
func (c *clientConn) reuse() {
	w := c.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended, w.gone = true, nil // which would hold the response
	if w.done {
		w.next()
		return
	}
	var idle time.Time // for ever
	if d := c.reused.idleTimeout; d > 0 {
		idle = time.Now().Add(d)
	}
	_ = c.SetDeadline(idle)
	c.reused.add(c)
}

// A reusedListener is where a server accepts connections again that were taken over
// from it. Until then it keeps them, as the server keeps idle ones.
type reusedListener struct {
	addr        net.Addr
	idleTimeout time.Duration // 0: none

	// accept is the server's Serve. With the server itself, all of net/http's would be
	// linked into programs that have none, such as the Lambda function.
	accept func(net.Listener) error
	serves sync.Once // starts to accept
	conns  chan *clientConn
	closed chan struct{}

	mu   sync.Mutex               // guards idle, and closing closed
	idle map[*clientConn]struct{} // nil once closed
}

func newReusedListener(server *http.Server, addr net.Addr) *reusedListener {
	return &reusedListener{
		addr:   addr,
		accept: server.Serve,

		idleTimeout: server.IdleTimeout,
		conns:       make(chan *clientConn),
		closed:      make(chan struct{}),
		idle:        make(map[*clientConn]struct{}),
	}
}

// add keeps c, or closes it if the server stops.
func (l *reusedListener) add(c *clientConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.idle == nil {
		c.Close()
		return
	}
	l.idle[c] = struct{}{}
}

func (l *reusedListener) remove(c *clientConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.idle, c)
}

// serve has the server accept c, or closes it if the server stops.
func (l *reusedListener) serve(c *clientConn) {
	l.serves.Do(func() { go func() { _ = l.accept(l) }() })
	select {
	case l.conns <- c:
	case <-l.closed:
		c.Close()
	}
}

// Accept waits for the next connection.
func (l *reusedListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Addr returns the address of the listener that accepted the connections first.
func (l *reusedListener) Addr() net.Addr { return l.addr }

// Close closes the connections that are kept.
func (l *reusedListener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.idle == nil {
		return nil
	}
	for c := range l.idle {
		c.Close()
	}
	l.idle = nil
	close(l.closed)
	return nil
}
