package tcp

import (
	"syscall"
	"unsafe"
)

// A peek looks whether a connection has something to read. It is kept for the next
// time: each request takes a look or two.
type peek struct {
	step  func(fd uintptr)
	poll  pollFD
	quiet bool
}

// A pollFD is the kernel's struct pollfd.
type pollFD struct {
	fd              int32
	events, revents int16
}

// pollIn is POLLIN of the kernel's poll.h.
const pollIn = 1

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
	var now syscall.Timespec
	p.poll = pollFD{fd: int32(fd), events: pollIn}
	n, _, errno := syscall.RawSyscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&p.poll)), 1,
		uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	p.quiet = errno == 0 && n == 0 || errno == syscall.EINTR
}
