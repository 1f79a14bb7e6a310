//go:build linux && (amd64 || arm64)

package conn

import (
	"encoding/binary"
	"syscall"
	"time"
	"unsafe"
)

// Offsets in struct tcp_info of the kernel's tcp.h.
const (
	infoUnacked = 24 // segments that were sent and not acknowledged
	infoLastAck = 56 // in milliseconds, since one was received
	infoRTT     = 68 // in microseconds
	infoSize    = infoRTT + 4
)

// acknowledged returns what the peer of a connection has acknowledged.
func acknowledged(raw syscall.RawConn) Ack {
	var info [infoSize]byte
	size := uint32(infoSize)
	err := raw.Control(func(fd uintptr) {
		_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, syscall.IPPROTO_TCP, syscall.TCP_INFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		if errno != 0 {
			size = 0
		}
	})
	if err != nil || size < infoSize {
		return Ack{}
	}
	field := func(offset int) uint32 { return binary.NativeEndian.Uint32(info[offset:]) }
	return Ack{
		Due:       field(infoUnacked) > 0,
		Last:      time.Duration(field(infoLastAck)) * time.Millisecond,
		RoundTrip: time.Duration(field(infoRTT)) * time.Microsecond,
	}
}
