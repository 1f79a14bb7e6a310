package regions

import "syscall"

// CanDrop reports whether this system can have a BlackHole.
const CanDrop = true

// setDrop has the kernel drop every packet that comes for a socket, or no
// longer. Of a listener it drops the requests for connections. That takes a
// filter which accepts 0 bytes of each, and no privileges.
func setDrop(socket syscall.Conn, drop bool) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	control := raw.Control(func(fd uintptr) {
		// Deprecated in favour of x/net/bpf, which is no part of this module.
		if drop {
			//lint:ignore SA1019 see above
			err = syscall.AttachLsf(int(fd), []syscall.SockFilter{{Code: syscall.BPF_RET | syscall.BPF_K, K: 0}})
			return
		}
		//lint:ignore SA1019 see above
		if err = syscall.DetachLsf(int(fd)); err == syscall.ENOENT {
			err = nil // there was none
		}
	})
	if control != nil {
		return control
	}
	return err
}
