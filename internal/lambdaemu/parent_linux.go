package lambdaemu

import "syscall"

// dieWithParent has the kernel kill a process if this one dies without closing
// its servers: one that is frozen would stay for ever.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
