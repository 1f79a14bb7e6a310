//go:build unix

package lambdaemu

import (
	"syscall"

	"example.com/relay/internal/proc"
)

const (
	signalStop      = syscall.SIGSTOP
	signalContinue  = syscall.SIGCONT
	signalTerminate = syscall.SIGTERM
	signalKill      = syscall.SIGKILL
)

// processGroup makes a process the leader of a group, so that a signal reaches
// its children too. A frozen process would outlive this one, so the kernel kills
// it where it can.
func processGroup() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	proc.DieWithParent(attr)
	return attr
}

// signalGroup signals the process group of pid. It ignores a group that is gone.
func signalGroup(pid int, sig syscall.Signal) { _ = syscall.Kill(-pid, sig) }
