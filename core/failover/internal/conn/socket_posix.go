//go:build unix && !linux

package conn

import "syscall"

// closedByPeer reports whether the peer has closed or reset a connection that
// has nothing left to read. Over TLS an unread farewell hides the end from it.
func closedByPeer(raw syscall.RawConn) bool {
	closed := false
	err := raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch err {
		case nil:
			closed = n == 0
		case syscall.EAGAIN, syscall.EINTR:
		default:
			closed = true
		}
	})
	return err != nil || closed
}

// limitUnacknowledged does nothing: these systems have no such limit in common.
func limitUnacknowledged(syscall.RawConn) {}
