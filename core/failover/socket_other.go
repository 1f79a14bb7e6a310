//go:build !unix

package failover

import "syscall"

// closedByPeer reports false: this system has no way to look.
func closedByPeer(syscall.RawConn) bool { return false }

// limitUnacknowledged does nothing: this system has no such limit.
func limitUnacknowledged(syscall.RawConn) {}
