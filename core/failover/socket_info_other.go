//go:build !(linux && (amd64 || arm64))

package failover

import (
	"syscall"
	"time"
)

// inTransit reports false: this system has no way to look.
func inTransit(syscall.RawConn) (bool, time.Duration) { return false, 0 }
