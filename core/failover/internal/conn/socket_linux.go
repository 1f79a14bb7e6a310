package conn

import (
	"encoding/binary"
	"syscall"
	"time"
)

const (
	// stateEstablished is TCP_ESTABLISHED of the kernel's tcp_states.h.
	stateEstablished = 1
	// tcpUserTimeout is TCP_USER_TIMEOUT of the kernel's tcp.h, in milliseconds
	// (RFC 5482).
	tcpUserTimeout = 18
)

// closedByPeer reports whether the peer has closed or reset a connection. It
// goes by the state of the connection rather than by what there is to read: over
// TLS, an unread farewell stands before the end.
func closedByPeer(raw syscall.RawConn) bool {
	closed := false
	err := raw.Control(func(fd uintptr) {
		// The state is the first byte of struct tcp_info.
		info, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_INFO)
		if err != nil {
			return // not known to be closed
		}
		var b [4]byte
		binary.NativeEndian.PutUint32(b[:], uint32(info))
		closed = b[0] != stateEstablished
	})
	return err != nil || closed
}

// unackedFor is how long what was written may remain unacknowledged. It rules
// keep-alives as well, which then end a connection by the third: in 15 to 20 s.
const unackedFor = DeadAfter - 5*time.Second

// limitUnacknowledged ends a connection when what was written to it is not
// acknowledged in time: keep-alives are not sent while data is under way.
func limitUnacknowledged(raw syscall.RawConn) {
	_ = raw.Control(func(fd uintptr) {
		// Without it the connection works too, and dies later.
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(unackedFor.Milliseconds()))
	})
}
