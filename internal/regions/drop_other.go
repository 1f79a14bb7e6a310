//go:build !linux

package regions

import (
	"errors"
	"syscall"
)

// CanDrop reports whether this system can have a BlackHole.
const CanDrop = false

func setDrop(_ syscall.Conn, drop bool) error {
	if drop {
		return errors.ErrUnsupported
	}
	return nil
}
