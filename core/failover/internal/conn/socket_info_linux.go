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
	infoRTT     = 68 // in microseconds
	infoSize    = infoRTT + 4
)

// unacked reports whether something that was sent over a connection is not
// acknowledged, and the smoothed round trip time.
func unacked(raw syscall.RawConn) (unacknowledged bool, roundTrip time.Duration) {
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
		return false, 0
	}
	segments, micros := binary.NativeEndian.Uint32(info[infoUnacked:]), binary.NativeEndian.Uint32(info[infoRTT:])
	return segments > 0, time.Duration(micros) * time.Microsecond
}
