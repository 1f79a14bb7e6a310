package regions

import (
	"net"
	"sync"
	"time"
)

// A conn is a connection to a front. While the front is frozen, no bytes move on
// it, and it is not closed.
type conn struct {
	net.Conn // as an interface, to hide methods such as ReadFrom, which would bypass Read and Write
	tcp      *net.TCPConn
	front    *Front
	ready    time.Time // no bytes are read before it

	once   sync.Once
	closed chan struct{}
}

// Read reads, and returns what it read once the front is not frozen.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.wait() != nil {
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	if c.wait() != nil {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

// wait blocks until bytes may move. It returns net.ErrClosed if the connection is
// closed.
func (c *conn) wait() error {
	if late := time.Until(c.ready); late > 0 {
		select {
		case <-time.After(late):
		case <-c.closed:
		}
	}
	select {
	case <-c.front.thaw():
	case <-c.closed:
	}
	if isClosed(c.closed) {
		return net.ErrClosed
	}
	return nil
}

// Close closes the connection. The peer sees it once the front is not frozen.
func (c *conn) Close() error {
	c.shut()
	return c.front.leave(c)
}

func (c *conn) shut() { c.once.Do(func() { close(c.closed) }) }

// reset ends the connection with an RST.
func (c *conn) reset() {
	c.shut()
	_ = c.tcp.SetLinger(0)
	_ = c.tcp.Close()
}
