package proc

import "syscall"

// dieWithParent has the kernel kill a process if this one dies without stopping
// it, as a test does that runs into its time limit.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
