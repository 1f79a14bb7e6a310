//go:build !unix

package core

import "syscall"

// closedByPeer reports false: this system has no way to look.
func closedByPeer(syscall.RawConn) bool { return false }
