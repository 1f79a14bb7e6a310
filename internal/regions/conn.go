package regions

import (
	"net"
	"sync"
	"time"
)

// A conn is a connection to a front. Its bytes do not move while the front is
// frozen; nor does its end.
type conn struct {
	net.Conn // whose other methods, such as ReadFrom, would get around it
	tcp      *net.TCPConn
	front    *Front
	ready    time.Time // no byte is read before

	once   sync.Once
	closed chan struct{}
}

// Read reads, and keeps what was read for as long as the front is frozen.
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

// wait returns when bytes may move, or that the connection is closed.
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
	if c.isClosed() {
		return net.ErrClosed
	}
	return nil
}

// Close closes the connection. The peer learns of it when the front is no
// longer frozen.
func (c *conn) Close() error {
	c.shut()
	return c.front.leave(c)
}

func (c *conn) shut() { c.once.Do(func() { close(c.closed) }) }

func (c *conn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// reset ends the connection by RST.
func (c *conn) reset() {
	c.shut()
	_ = c.tcp.SetLinger(0)
	_ = c.tcp.Close()
}
