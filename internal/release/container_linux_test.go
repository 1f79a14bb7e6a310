package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// rootVariable names the root file system that enterImage makes its own.
const rootVariable = "RELEASE_TEST_ROOT"

const uid = 65532

// enterImage becomes the program of the image, as a container engine does it: on
// its root file system, which is read-only, as its user, without capabilities. It
// returns false if rootVariable is not set. It first prints how much of the isolation
// the kernel allowed.
func enterImage() bool {
	dir := os.Getenv(rootVariable)
	if dir == "" {
		return false
	}
	if err := enter(dir); err != nil {
		fmt.Fprintln(os.Stderr, "entering the image:", err)
		os.Exit(125)
	}
	return true
}

func enter(dir string) error {
	how := "read-only mount"
	if err := mountReadOnly(dir); errors.Is(err, syscall.EPERM) {
		how = "permissions only: mounts are not allowed here"
	} else if err != nil {
		return err
	}
	if err := errors.Join(syscall.Chroot(dir), os.Chdir("/")); err != nil {
		return err
	}
	if os.Getuid() == 0 {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(uid), syscall.Setuid(uid)); err != nil {
			return err
		}
	}
	// In a user namespace the user is 65532 from the beginning, with capabilities.
	const prCapAmbient, clearAll = 47, 4
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prCapAmbient, clearAll, 0); errno != 0 {
		return errno
	}
	if os.Getuid() != uid {
		return fmt.Errorf("the user is %d", os.Getuid())
	}
	for _, name := range []string{"/probe", "/etc/probe"} {
		if err := os.WriteFile(name, nil, 0o600); err == nil {
			return fmt.Errorf("%s could be written", name)
		}
	}
	fmt.Println("root:", how)
	return syscall.Exec(os.Args[1], os.Args[1:], strings.Split(os.Getenv("RELEASE_TEST_ENV"), "\n"))
}

func mountReadOnly(dir string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := syscall.Mount(dir, dir, "", syscall.MS_BIND, ""); err != nil {
		return err
	}
	return syscall.Mount("", dir, "",
		syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY|syscall.MS_NOSUID|syscall.MS_NODEV, "")
}

// A container is a program that runs on the image's root file system.
type container struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	log   *strings.Builder
}

// isolations are the ways to run a container, the better ones first.
func isolations() []*syscall.SysProcAttr {
	if os.Getuid() == 0 {
		return []*syscall.SysProcAttr{{Cloneflags: syscall.CLONE_NEWNS}, {}}
	}
	const capSysChroot, capSysAdmin = 18, 21
	return []*syscall.SysProcAttr{{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Getgid(), Size: 1}},
		AmbientCaps: []uintptr{capSysChroot, capSysAdmin},
	}}
}

// startContainer runs a program on a root file system until the test ends.
func startContainer(t *testing.T, dir string, env []string, args ...string) *container {
	t.Helper()
	var failure error
	for _, how := range isolations() {
		c := &container{log: new(strings.Builder)}
		ctx, cancel := context.WithCancel(t.Context())
		c.cmd = exec.CommandContext(ctx, os.Args[0], args...)
		c.cmd.Env = []string{rootVariable + "=" + dir, "RELEASE_TEST_ENV=" + strings.Join(env, "\n")}
		c.cmd.SysProcAttr, c.cmd.Stderr = how, c.log
		c.cmd.WaitDelay = 10 * time.Second
		out, err := c.cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if failure = c.cmd.Start(); failure != nil {
			cancel()
			continue
		}
		t.Cleanup(cancel)
		c.lines = bufio.NewScanner(out)
		t.Log("root:", c.await(t, "root: "))
		return c
	}
	t.Skipf("THE IMAGE WAS NOT RUN: this kernel lets this user make no container (%v); root, or user namespaces, can",
		failure)
	return nil
}

// await returns what follows a prefix in the first line that the program prints
// with it.
func (c *container) await(t *testing.T, prefix string) string {
	t.Helper()
	for c.lines.Scan() {
		if rest, ok := strings.CutPrefix(c.lines.Text(), prefix); ok {
			return rest
		}
	}
	_ = c.cmd.Wait()
	t.Fatalf("the container ended with %v: %s", c.cmd.ProcessState, c.log)
	return ""
}

// wait returns the rest of what the program prints, and its exit code.
func (c *container) wait() (string, int) {
	var rest strings.Builder
	for c.lines.Scan() {
		rest.WriteString(c.lines.Text() + "\n")
	}
	err := c.cmd.Wait()
	if err != nil && c.cmd.ProcessState == nil {
		return rest.String(), -1
	}
	return rest.String() + c.log.String(), c.cmd.ProcessState.ExitCode()
}

// stop sends SIGTERM, as container engines do.
func (c *container) stop() error { return c.cmd.Process.Signal(syscall.SIGTERM) }

// checkProcess checks what the kernel reports about the running program.
func (c *container) checkProcess(t *testing.T) {
	t.Helper()
	status, err := os.Open(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	defer status.Close()
	text, err := io.ReadAll(status)
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 && !strings.Contains(string(text), fmt.Sprintf("Uid:\t%d\t%d\t%d\t%d\n", uid, uid, uid, uid)) {
		t.Errorf("the program runs as another user:\n%s", text)
	}
	if !strings.Contains(string(text), "CapEff:\t0000000000000000\n") {
		t.Errorf("the program has capabilities:\n%s", text)
	}
}
