//go:build amd64 || arm64

package failover

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// A network that loses everything shows in what TCP does not acknowledge: already by
// the first request after a pause, so that no second one is lost.
func TestBlackHole(t *testing.T) {
	const inside = "TEST_BLACK_HOLE"
	if os.Getenv(inside) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBlackHole$")
		cmd.Env = append(os.Environ(), inside+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}}
		out, err := cmd.CombinedOutput()
		if _, failed := errors.AsType[*exec.ExitError](err); failed {
			t.Errorf("in a network of its own:\n%s", out)
		} else if err != nil {
			t.Skipf("no namespaces here: %v", err)
		}
		return
	}
	setLoopback(t, true)
	a, b := newRegion(t), newRegion(t)
	p := newPool(t, Options{}, a, b)
	u := p.list()[0]
	if status, _, _, err := post(t, p, "x"); status != 200 {
		t.Fatal(status, err)
	}
	setLoopback(t, false)
	done := make(chan int)
	go func() {
		status, _, _, _ := post(t, p, "x")
		done <- status
	}()
	begun := time.Now()
	for u.doubt() != suspect {
		if time.Since(begun) > 5*time.Second {
			t.Fatalf("the upstream is not suspect; silent for %v", u.silence.silentFor())
		}
		time.Sleep(time.Millisecond)
	}
	if took := time.Since(begun); took < suspectAfter {
		t.Errorf("suspect after %v", took)
	}
	setLoopback(t, true)
	if status := <-done; status != 200 {
		t.Errorf("when the network is back, the request gets %d", status)
	}
}

// setLoopback takes the loopback interface up or down.
func setLoopback(t *testing.T, up bool) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	var request struct { // struct ifreq of the kernel's if.h
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], "lo")
	if up {
		request.flags = syscall.IFF_UP
	}
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS,
		uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		t.Fatal(errno)
	}
}
