package core

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// errPeerClosed says that a pooled connection was found dead before anything
// was written to it, so that net/http sends the request over another one.
var errPeerClosed = errors.New("upstream closed the connection while it was idle")

// A checkedConn is a connection to an upstream that can look whether its peer
// has closed it, before the next request is written. net/http finds out as well,
// but only once its reading goroutine has run, and after a thaw requests are
// faster. What was written to a dead connection is lost, and a POST must not be
// sent again then.
type checkedConn struct {
	*net.TCPConn
	raw   syscall.RawConn
	check atomic.Bool // before the next write
}

// checkBeforeWrite makes a connection out of the pool look at its peer before
// it writes the request.
func checkBeforeWrite(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if c, ok := conn.(*checkedConn); ok {
		c.check.Store(true)
	}
}

// dial returns a function that connects by dialer to checked connections.
func dial(dialer *net.Dialer) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		tcp, ok := conn.(*net.TCPConn)
		if !ok {
			return conn, nil
		}
		raw, err := tcp.SyscallConn()
		if err != nil {
			return conn, nil // it works unchecked too
		}
		return &checkedConn{TCPConn: tcp, raw: raw}, nil
	}
}

func (c *checkedConn) Write(p []byte) (int, error) {
	if c.check.Swap(false) && closedByPeer(c.raw) {
		return 0, errPeerClosed
	}
	return c.TCPConn.Write(p)
}

// newDialer returns the dialer for upstreams.
func newDialer() *net.Dialer {
	return &net.Dialer{
		Timeout: 10 * time.Second,
		// A connection whose peer is gone must not look idle: 10 s + 3 × 5 s.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
}
