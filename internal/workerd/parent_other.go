//go:build !linux

package workerd

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }
