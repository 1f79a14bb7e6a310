//go:build unix

package lambdaemu

import "syscall"

const (
	signalStop      = syscall.SIGSTOP
	signalContinue  = syscall.SIGCONT
	signalTerminate = syscall.SIGTERM
	signalKill      = syscall.SIGKILL
)

// dieWithParent has the kernel kill a process if this one dies without closing
// its servers, where the kernel can: one that is frozen would stay for ever.
var dieWithParent = func(*syscall.SysProcAttr) {}

// processGroup makes a process the leader of a group, so that a signal reaches
// its children.
func processGroup() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(attr)
	return attr
}

// signalGroup sends a signal to the group of a process, if it still is.
func signalGroup(pid int, sig syscall.Signal) { _ = syscall.Kill(-pid, sig) }
