package conn

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// readBuffer is the size of a connection's buffer for what it reads.
const readBuffer = 4 << 10

// An h1 is a connection that speaks HTTP/1.1. It carries one request at a time
// and, unlike net/http's, needs no goroutine of its own: waking them is what most
// of a request's and an event's cost is. Responses are parsed by net/http, but
// for those that parseFast reads.
type h1 struct {
	conn   net.Conn
	socket *socket // conn, or what TLS runs over
	br     *bufio.Reader
	header headerReader // below br

	state   atomic.Int32 // one of the constants below
	wrote   atomic.Bool  // something of the current request was written
	changed func()       // called when the connection can take another request
	closed  func()       // called when it is closed; may be nil

	// For whoever has the connection reserved:
	reused  bool      // there was a response before
	checked time.Time // when the peer had not closed the connection
}

// The states of an h1. Whoever reserves the connection has it to himself until it
// is idle again, or closed.
const (
	h1Idle int32 = iota
	h1Reserved
	h1Busy
	h1Closed
)

// newHTTP1 returns a connection over conn, which is socket or TLS over it. It is
// reserved. changed is called whenever a response has ended and the connection
// can take another request.
func newHTTP1(conn net.Conn, socket *socket, changed func()) *h1 {
	h := &h1{conn: conn, socket: socket, changed: changed, checked: time.Now()}
	h.header.conn = conn
	h.br = bufio.NewReaderSize(&h.header, readBuffer)
	h.state.Store(h1Reserved)
	return h
}

// Reserve reserves an idle connection for a request, if its peer has neither
// closed it nor sent anything that nobody asked for.
func (h *h1) Reserve() error {
	if !h.state.CompareAndSwap(h1Idle, h1Reserved) {
		return errClosed
	}
	if !h.socket.usable() {
		h.Close()
		return errPeerClosed
	}
	h.checked = time.Now()
	return nil
}

// Release gives up a reservation.
func (h *h1) Release() {
	if h.state.CompareAndSwap(h1Reserved, h1Idle) {
		h.changed()
	}
}

// Available returns how many requests the connection can take.
func (h *h1) Available() int {
	if h.state.Load() == h1Idle {
		return 1
	}
	return 0
}

// InFlight returns how many requests the connection carries.
func (h *h1) InFlight() int {
	if s := h.state.Load(); s == h1Busy || s == h1Reserved {
		return 1
	}
	return 0
}

// Err returns an error once the connection is closed.
func (h *h1) Err() error {
	if h.state.Load() == h1Closed {
		return errClosed
	}
	return nil
}

// CloseIdle closes the connection, which is in no list any more, so no request has it.
func (h *h1) CloseIdle() { h.Close() }

// Close closes the connection. In the middle of an exchange it omits TLS's farewell,
// which waits for seconds if the upstream takes no more of the request.
func (h *h1) Close() error {
	was := h.state.Swap(h1Closed)
	if was != h1Closed && h.closed != nil {
		h.closed()
	}
	if was == h1Busy {
		return h.socket.Close()
	}
	return h.conn.Close()
}

// past is a deadline that ends whatever waits for a connection.
var past = time.Unix(1, 0)

// RoundTrip sends req, for which the connection was reserved. If it fails, or the
// response's body is not read to its end, the connection is closed.
func (h *h1) RoundTrip(req *http.Request) (*http.Response, error) {
	h.wrote.Store(false)
	h.state.Store(h1Busy)
	if h.br.Buffered() > 0 { // nobody has asked for that
		h.Close()
		return nil, classified(errPeerClosed, true)
	}
	x := &roundTrip{h: h, ctx: req.Context()}
	x.unhook = context.AfterFunc(x.ctx, func() { _ = h.conn.SetDeadline(past) })
	res, err := x.do(req)
	if err != nil {
		x.unhook()
		h.Close()
		switch bodyErr := x.bodyErr.Load(); {
		case bodyErr != nil:
			return nil, *bodyErr
		case x.ctx.Err() != nil:
			return nil, context.Cause(x.ctx)
		}
		return nil, classified(err, !h.wrote.Load())
	}
	return res, nil
}

// readHeader reads a response's header.
func (h *h1) readHeader(req *http.Request) (*http.Response, error) {
	if res, err := parseFast(h.br, req); res != nil || err != nil {
		return res, err
	}
	buffered, err := h.br.Peek(h.br.Buffered())
	if err != nil {
		return nil, err
	}
	maskIdentity(buffered)
	if !h.header.begin(buffered) {
		return nil, errHeadersTooLarge
	}
	return http.ReadResponse(h.br, req)
}

// maskIdentity turns the line Transfer-Encoding: identity of a response's header, if all
// of that is in b, into one that means nothing. It means nothing itself since RFC 7230,
// but some servers still send it, and [http.ReadResponse] takes it for a fault. Any
// other value remains: the relay asks for no transfer coding.
func maskIdentity(b []byte) {
	const name = "Transfer-Encoding"
	end := bytes.Index(b, []byte("\r\n\r\n"))
	var found []byte
	for b = b[:max(end, 0)]; len(b) > 0; {
		line, rest, _ := bytes.Cut(b, []byte("\r\n"))
		b = rest
		if len(line) <= len(name) || !bytes.EqualFold(line[:len(name)], []byte(name)) {
			continue
		}
		value, ok := bytes.CutPrefix(line[len(name):], []byte(":"))
		if !ok || found != nil || !bytes.EqualFold(bytes.Trim(value, " \t"), []byte("identity")) {
			return
		}
		found = line
	}
	if found != nil {
		copy(found, "Te:              ") // hop by hop, so that nobody gets it
	}
}

// isStale reports whether the peer has closed the connection, or has sent
// something before the request. On a new connection it may: TLS sends session
// tickets.
func (h *h1) isStale() bool {
	if h.reused {
		return !h.socket.usable()
	}
	return closedByPeer(h.socket.Raw())
}

// hasMore reports whether there is something after a response that was read to
// its end: in the buffer, or in TLS, where the socket does not show it.
func (h *h1) hasMore() bool {
	if h.br.Buffered() > 0 || h.conn == net.Conn(h.socket) {
		return h.br.Buffered() > 0
	}
	h.socket.readBlocked = true
	_, err := h.br.Peek(1)
	h.socket.readBlocked = false
	return err != errReadBlocked
}
