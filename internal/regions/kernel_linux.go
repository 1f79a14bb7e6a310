package regions

import (
	"net/netip"
	"syscall"
)

// CanDrop reports whether this system can have a BlackHole.
const CanDrop = true

// setDrop turns on or off a filter with which the kernel drops every incoming
// packet of a socket; of a listener, the connection requests. It needs no
// privileges.
func setDrop(socket syscall.Conn, drop bool) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	control := raw.Control(func(fd uintptr) {
		// Deprecated in favour of x/net/bpf, which this module does not depend on.
		if drop {
			//lint:ignore SA1019 see above
			err = syscall.AttachLsf(int(fd), []syscall.SockFilter{{Code: syscall.BPF_RET | syscall.BPF_K, K: 0}})
			return
		}
		//lint:ignore SA1019 see above
		if err = syscall.DetachLsf(int(fd)); err == syscall.ENOENT {
			err = nil // there was no filter
		}
	})
	if control != nil {
		return control
	}
	return err
}

// holdPort reserves a free address of 127.0.0.1 until release is called, by a
// socket that is bound to it but does not listen. Connections to it are refused
// unless a listener shares it.
func holdPort() (addr string, release func(), err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", nil, err
	}
	release = func() { _ = syscall.Close(fd) }
	defer func() {
		if err != nil {
			release()
		}
	}()
	// Package net's listeners set it too: both must, to share the address.
	if err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return "", nil, err
	}
	loopback := [4]byte{127, 0, 0, 1}
	if err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: loopback}); err != nil {
		return "", nil, err
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		return "", nil, err
	}
	port := uint16(bound.(*syscall.SockaddrInet4).Port)
	return netip.AddrPortFrom(netip.AddrFrom4(loopback), port).String(), release, nil
}
