//go:build !unix

package lambdaemu

import (
	"os"
	"syscall"
)

// Processes cannot be frozen here: the first two do nothing.
const (
	signalStop      = syscall.Signal(0)
	signalContinue  = syscall.Signal(0)
	signalTerminate = syscall.SIGKILL
	signalKill      = syscall.SIGKILL
)

func processGroup() *syscall.SysProcAttr { return nil }

func signalGroup(pid int, sig syscall.Signal) {
	if p, err := os.FindProcess(pid); err == nil && sig == signalKill {
		_ = p.Kill()
	}
}
