//go:build unix

package conn

import "syscall"

// A look is one at what a connection has to read. It is kept for the next one:
// each request takes a look or two.
type look struct {
	peek  func(fd uintptr)
	b     [1]byte
	quiet bool
}

// isQuiet reports whether a connection is open and has nothing to read. It does
// not wait, and it takes no lock that a pending Read holds.
func (l *look) isQuiet(raw syscall.RawConn) bool {
	if l.peek == nil {
		l.peek = func(fd uintptr) {
			_, _, err := syscall.Recvfrom(int(fd), l.b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			l.quiet = err == syscall.EAGAIN || err == syscall.EINTR
		}
	}
	return raw.Control(l.peek) == nil && l.quiet
}
