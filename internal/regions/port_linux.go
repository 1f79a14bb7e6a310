package regions

import (
	"net/netip"
	"syscall"
)

// holdPort returns a free address of 127.0.0.1 that nothing else gets until
// release is called: a socket is bound to it which does not listen. So
// connections to it are refused unless a listener shares it.
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
	// As listeners of package net have it, or they could not share the address.
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
