//go:build !(linux && (amd64 || arm64))

package conn

import (
	"syscall"
	"time"
)

// unacked reports false: this system has no way to look.
func unacked(syscall.RawConn) (bool, time.Duration) { return false, 0 }
