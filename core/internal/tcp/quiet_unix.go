//go:build unix && !linux

package tcp

import "syscall"

// A peek looks whether a connection has something to read. It is kept for the next
// time: each request takes a look or two.
type peek struct {
	step  func(fd uintptr)
	b     [1]byte
	quiet bool
}

// IsQuiet reports whether the connection is open and has nothing to read. It does not
// wait, and it takes no lock that a pending Read holds. It must not be called
// concurrently.
func (c *Conn) IsQuiet() bool {
	if c.peek.step == nil {
		c.peek.step = c.peek.look
	}
	return c.raw.Control(c.peek.step) == nil && c.peek.quiet
}

func (p *peek) look(fd uintptr) {
	_, _, err := syscall.Recvfrom(int(fd), p.b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	p.quiet = err == syscall.EAGAIN || err == syscall.EINTR
}
