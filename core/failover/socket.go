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

// A socket is a TCP connection to an upstream which can look whether its peer
// has closed it, before anything of a request is written. Who reads finds out as
// well, but after a thaw requests are faster. What was written to a dead
// connection is lost, and a POST must not be sent again then.
type socket struct {
	*net.TCPConn
	raw   syscall.RawConn
	heard func() // called when bytes came; may be nil

	armed atomic.Bool // the next write may be the beginning of a request
	look  look
	deaf  bool // Read reads nothing; for whoever has the connection to himself
}

// errDeaf is what a socket that is deaf says. It is temporary, or TLS would
// remember it.
var errDeaf net.Error = deafError{}

type deafError struct{}

func (deafError) Error() string   { return "nothing was read" }
func (deafError) Timeout() bool   { return true }
func (deafError) Temporary() bool { return true }

// arm lets the next write look first.
func (s *socket) arm() { s.armed.Store(true) }

func (s *socket) Read(p []byte) (int, error) {
	if s.deaf {
		return 0, errDeaf
	}
	n, err := s.TCPConn.Read(p)
	if n > 0 && s.heard != nil {
		s.heard()
	}
	return n, err
}

func (s *socket) Write(p []byte) (int, error) {
	if s.armed.Load() && s.armed.Swap(false) && closedByPeer(s.raw) {
		return 0, errPeerClosed
	}
	return s.TCPConn.Write(p)
}

// dialSocket connects to address by dialer.
func dialSocket(ctx context.Context, dialer *net.Dialer, address string) (*socket, error) {
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	tcp := conn.(*net.TCPConn) // so says the network
	raw, err := tcp.SyscallConn()
	if err != nil {
		conn.Close()
		return nil, err
	}
	limitUnacknowledged(raw)
	return &socket{TCPConn: tcp, raw: raw}, nil
}

// usable reports whether an idle connection is open, and has nothing to say that
// nobody asked for: what stands there would be taken for the next answer.
// Nobody else may ask at the same time.
func (s *socket) usable() bool { return s.look.nothingToRead(s.raw) }

// unacknowledged reports whether the peer's TCP has not acknowledged everything
// that was written, and how long a round trip takes.
func (s *socket) unacknowledged() (bool, time.Duration) { return inTransit(s.raw) }

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
