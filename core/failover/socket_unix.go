//go:build unix

package failover

import "syscall"

// nothingToRead reports whether a connection is open and has nothing to read. It does
// not wait, and it takes no lock that a pending Read holds.
func nothingToRead(raw syscall.RawConn) bool {
	quiet := true
	err := raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = err == syscall.EAGAIN || err == syscall.EINTR
	})
	return err == nil && quiet
}
