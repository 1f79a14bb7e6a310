package workerd

import "syscall"

// dieWithParent has the kernel kill a process if this one dies without stopping
// it, as a test does that runs into its time limit.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
