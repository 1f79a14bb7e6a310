//go:build !linux

package regions

import (
	"errors"
	"syscall"

	"example.com/relay/internal/proc"
)

// CanDrop reports whether this system can have a BlackHole.
const CanDrop = false

func setDrop(_ syscall.Conn, drop bool) error {
	if drop {
		return errors.ErrUnsupported
	}
	return nil
}

// holdPort returns an address that was free a moment ago. Here, another program
// may take it while the front does not listen.
func holdPort() (addr string, release func(), err error) {
	addr, err = proc.FreeAddr()
	return addr, func() {}, err
}
