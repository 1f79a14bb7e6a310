//go:build !linux

package tcp

import (
	"net"
	"syscall"
)

// A Conn is a [net.TCPConn]: on this system its own methods are used.
type Conn struct {
	*net.TCPConn
	raw  syscall.RawConn
	peek peek
}

// New returns conn as a Conn.
func New(conn *net.TCPConn) (*Conn, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &Conn{TCPConn: conn, raw: raw}, nil
}

// Raw returns the descriptor's access.
func (c *Conn) Raw() syscall.RawConn { return c.raw }
