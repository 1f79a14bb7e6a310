//go:build !linux

package proc

import "syscall"

// DieWithParent does nothing here.
func DieWithParent(*syscall.SysProcAttr) {}
