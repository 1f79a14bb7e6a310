package conn

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"example.com/relay/core/internal/tcp"
)

// A socket is a TCP connection to an upstream that can check whether its peer has
// closed it, before anything of a request is written. A reader would find out
// too, but after a thaw requests are faster: what was written to a dead
// connection is lost, and a POST must not be sent again then.
type socket struct {
	*tcp.Conn
	heard func() // called when bytes were read; may be nil

	armed atomic.Bool // the next write may be the beginning of a request

	// For whoever has the connection reserved:
	readBlocked bool // Read reads nothing
}

// errReadBlocked is the error of a socket whose reads are blocked. It is
// temporary, or TLS would remember it.
var errReadBlocked net.Error = readBlockedError{}

type readBlockedError struct{}

func (readBlockedError) Error() string   { return "nothing was read" }
func (readBlockedError) Timeout() bool   { return true }
func (readBlockedError) Temporary() bool { return true }

// An Ack is what the peer's TCP has acknowledged, as far as the system tells.
type Ack struct {
	Due       bool          // something that was sent is not acknowledged
	Last      time.Duration // since the last acknowledgement, in steps of some milliseconds
	RoundTrip time.Duration // smoothed
}

// arm makes the next write check the connection first.
func (s *socket) arm() { s.armed.Store(true) }

func (s *socket) Read(p []byte) (int, error) {
	if s.readBlocked {
		return 0, errReadBlocked
	}
	n, err := s.Conn.Read(p)
	if n > 0 && s.heard != nil {
		s.heard()
	}
	return n, err
}

func (s *socket) Write(p []byte) (int, error) {
	if s.armed.Load() && s.armed.Swap(false) && closedByPeer(s.Raw()) {
		return 0, errPeerClosed
	}
	return s.Conn.Write(p)
}

// dialSocket connects to address by dialer.
func dialSocket(ctx context.Context, dialer *net.Dialer, address string) (*socket, error) {
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c, err := tcp.New(conn.(*net.TCPConn)) // so says the network
	if err != nil {
		conn.Close()
		return nil, err
	}
	limitUnacknowledged(c.Raw())
	return &socket{Conn: c}, nil
}

// usable reports whether an idle connection is open, and its peer has sent
// nothing unasked, which would be taken for the next response. It must not be
// called concurrently.
func (s *socket) usable() bool { return s.IsQuiet() }

// DeadAfter is how long it takes at most to notice that a connection's peer is
// gone.
const DeadAfter = 20 * time.Second

// newDialer returns the dialer for upstreams.
func newDialer() *net.Dialer {
	return &net.Dialer{
		Timeout: 10 * time.Second,
		// A connection whose peer is gone must not look idle: 5 s + 3 × 5 s.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
}
