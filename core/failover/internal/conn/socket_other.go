//go:build !unix

package conn

import "syscall"

// This system has no way to look: a dead connection is found out by its use.

func closedByPeer(syscall.RawConn) bool { return false }

// limitUnacknowledged does nothing: this system has no such limit.
func limitUnacknowledged(syscall.RawConn) {}
