//go:build unix && !linux

package lambdaemu

import "syscall"

func dieWithParent(*syscall.SysProcAttr) {}
