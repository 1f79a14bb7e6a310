// Package load puts load on a relay and measures latencies: a closed loop of
// clients with one request in flight each ([Load]), or an open loop, in which
// requests are sent when they are due ([Open], which checks every response, and
// [Steady], which costs little).
package load

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"example.com/relay/internal/load/wire"
)

// A Client sends requests over one connection, which it opens when needed. It
// hardly allocates. It is not safe for concurrent use.
type Client struct {
	addr   string
	life   time.Duration
	tls    *tls.Config
	conn   *countedConn
	r      *wire.Reader
	lines  *bufio.Reader
	last   bool // the connection closes after this response
	sentAt time.Time

	eventRead int // the number of the read that brought this response's last event; 0 if none
	together  int
	number    int // of the last event in its stream
}

// NewClient returns a client of the server at addr. Its connections time out life
// after they are opened. If config is not nil they use TLS; config must have the
// server's name.
func NewClient(addr string, life time.Duration, config *tls.Config) *Client {
	return &Client{addr: addr, life: life, tls: config}
}

// Close closes the connection.
func (c *Client) Close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// Do sends a request and reads its response. Any status but 200 is an error.
func (c *Client) Do(request []byte) error {
	if err := c.Open(request); err != nil {
		return err
	}
	_, err := c.r.Discard()
	return c.done(err)
}

// Open sends a request and reads the header of its response. NextEvent reads the
// body.
func (c *Client) Open(request []byte) error {
	if err := c.connect(); err != nil {
		return err
	}
	c.sentAt, c.eventRead = time.Now(), 0
	_, err := c.conn.Write(request)
	if err == nil {
		err = c.readHead()
	}
	if err != nil {
		c.Close()
	}
	return err
}

// NextEvent reads the next event with a timestamp and returns its age. At the end
// of the response it returns [io.EOF], and the client is free for another request.
func (c *Client) NextEvent() (lag time.Duration, err error) {
	for {
		line, err := c.lines.ReadSlice('\n')
		now := time.Now()
		if lag, ok := wire.Lag(line, now); ok {
			if c.conn.reads == c.eventRead {
				c.together++
			}
			c.eventRead = c.conn.reads
			c.number, _ = wire.Number(line)
			return lag, nil
		}
		if err == io.EOF {
			if err := c.done(nil); err != nil {
				return 0, err
			}
			return 0, io.EOF
		}
		if err != nil {
			return 0, c.done(err)
		}
	}
}

// Together returns how many events, of all that the client has read, came in the
// same read as the one before.
func (c *Client) Together() int { return c.together }

func (c *Client) connect() error {
	if c.conn != nil {
		return nil
	}
	conn, err := net.DialTimeout("tcp", c.addr, c.life)
	if err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Now().Add(c.life)); err != nil {
		return err
	}
	if c.tls != nil {
		conn = tls.Client(conn, c.tls)
	}
	c.conn = &countedConn{Conn: conn}
	c.r = wire.NewReader(c.conn)
	c.lines = bufio.NewReader(c.r)
	return nil
}

func (c *Client) readHead() error {
	head, err := c.r.ReadHead()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	c.last = head.Close
	if len(head.Start) < 12 || string(head.Start[9:12]) != "200" {
		return fmt.Errorf("got %q", head.Start)
	}
	return nil
}

// done ends a response.
func (c *Client) done(err error) error {
	if err != nil || c.last {
		c.Close()
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// A countedConn counts its reads.
type countedConn struct {
	net.Conn
	reads int
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.reads++
	return n, err
}
