package failover

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// errPeerClosed says that a connection was found dead before anything of a
// request was written to it.
var errPeerClosed = errors.New("upstream closed the connection while it was idle")

// A socket is a TCP connection to an upstream which knows whether anything of
// the present request was written, and which can look whether its peer has
// closed it before the first byte is. net/http finds out as well, but only once
// its reading goroutine has run, and after a thaw requests are faster. What was
// written to a dead connection is lost, and a POST must not be sent again then.
type socket struct {
	*net.TCPConn
	raw    syscall.RawConn
	secure bool   // TLS records are written
	heard  func() // called when bytes came; may be nil

	armed atomic.Bool // the next write is the beginning of a request
	wrote atomic.Bool // since it was armed
}

// largestAlert is the size of a TLS record which holds an alert, the farewell
// of a connection that net/http has given up, and no request: those are longer
// (RFC 8446, section 5.2: 5 bytes of header, 2 + 1 of content, up to 40 of
// padding, MAC and nonce in TLS 1.2).
const largestAlert = 48

// arm makes the next write the beginning of a request.
func (s *socket) arm() {
	s.wrote.Store(false)
	s.armed.Store(true)
}

func (s *socket) Read(p []byte) (int, error) {
	n, err := s.TCPConn.Read(p)
	if n > 0 && s.heard != nil {
		s.heard()
	}
	return n, err
}

func (s *socket) Write(p []byte) (int, error) {
	if s.armed.Load() && (!s.secure || len(p) > largestAlert) && s.armed.Swap(false) {
		if closedByPeer(s.raw) {
			return 0, errPeerClosed
		}
		s.wrote.Store(true)
	}
	return s.TCPConn.Write(p)
}

// socketKey is the context key of where dial leaves the socket that it made.
type socketKey struct{}

// dial returns a function that connects by dialer. A connection of which the
// context wants to know is left there.
func dial(dialer *net.Dialer) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		into, wanted := ctx.Value(socketKey{}).(*socket)
		tcp, ok := conn.(*net.TCPConn)
		if !ok || !wanted {
			return conn, nil
		}
		raw, err := tcp.SyscallConn()
		if err != nil {
			conn.Close()
			return nil, err
		}
		limitUnacknowledged(raw)
		into.TCPConn, into.raw = tcp, raw
		return into, nil
	}
}

// deadAfter is the time in which a connection whose peer is gone is found dead.
const deadAfter = 20 * time.Second

// newDialer returns the dialer for upstreams.
func newDialer() *net.Dialer {
	return &net.Dialer{
		Timeout: 10 * time.Second,
		// A connection whose peer is gone must not look idle: 5 s + 3 × 5 s.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
}
