package proc

import "syscall"

// DieWithParent has the kernel kill the process that is started with attr when
// this one dies without stopping it, as a test does that runs into its timeout.
func DieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
