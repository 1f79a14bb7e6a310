// Package load puts load on a relay, and has a histogram of what clients saw:
// clients that each have one request at a time under way ([Load]), or requests
// that begin when they are due whatever becomes of others ([Open], which looks
// at every answer closely, and [Steady], which costs little).
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

// A Client sends requests over one connection, which it opens when it has none.
// It allocates next to nothing for a request. It is not safe for concurrent use.
type Client struct {
	addr   string
	life   time.Duration
	tls    *tls.Config
	conn   *countedConn
	r      *wire.Reader
	lines  *bufio.Reader
	last   bool // the connection ends with this answer
	sentAt time.Time

	eventRead int // the read that the last event of this answer came with; 0 if there was none
	together  int
}

// NewClient returns a client of the server at addr. Nothing on a connection of
// its takes longer than life after the connection was opened.
func NewClient(addr string, life time.Duration) *Client {
	return &Client{addr: addr, life: life}
}

// NewTLSClient returns a client like those of [NewClient] that speaks TLS if
// config is not nil, with the server's name in it.
func NewTLSClient(addr string, life time.Duration, config *tls.Config) *Client {
	return &Client{addr: addr, life: life, tls: config}
}

// Close closes the connection.
func (c *Client) Close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// Do sends a request and reads its answer. Any status but 200 is an error.
func (c *Client) Do(request []byte) error {
	if err := c.Open(request); err != nil {
		return err
	}
	_, err := c.r.Discard()
	return c.done(err)
}

// Open sends a request and reads the head of its answer. What has come of the
// body may be had by NextEvent.
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

// NextEvent reads the next event that has a time in it and returns how long
// before it was sent. At the end of the answer it returns [io.EOF], and the
// client is free for another request.
func (c *Client) NextEvent() (lag time.Duration, err error) {
	for {
		line, err := c.lines.ReadSlice('\n')
		now := time.Now()
		if lag, ok := wire.Lag(line, now); ok {
			if c.conn.reads == c.eventRead {
				c.together++
			}
			c.eventRead = c.conn.reads
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

// Together returns how many events came in the same piece as the one before,
// of all that the client has read.
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
		return fmt.Errorf("answered %q", head.Start)
	}
	return nil
}

// done ends an answer.
func (c *Client) done(err error) error {
	if err != nil || c.last {
		c.Close()
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// A countedConn counts the pieces that it reads.
type countedConn struct {
	net.Conn
	reads int
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.reads++
	return n, err
}
