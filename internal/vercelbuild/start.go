//go:build linux

package vercelbuild

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/relay/internal/proc"
)

// addr is where Vercel's proxy listens, wherever it runs.
const addr = "127.0.0.1:3000"

// lockPort waits until no other test on this machine uses the proxy's port,
// keeps it until t ends, and skips t if something else is there.
func lockPort(t *testing.T) {
	t.Helper()
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), "relay-vercel-port-3000.lock"), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() }) // which unlocks
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Skipf("Vercel's proxy listens on %s and nowhere else, and something is there: %v", addr, err)
	}
	ln.Close()
}

// watched runs the function until its standard input ends, so that a test that is
// killed does not leave the port in use.
const watched = "./executable & read -r _; kill -KILL 0"

// A Process is a Function as Vercel runs it.
type Process struct {
	URL   string        // of the emulated edge
	Ended chan struct{} // receives once per request that the proxy reports as ended

	log proc.Buffer
}

// Start starts Vercel's proxy, which starts the relay with environ, and waits until
// it accepts connections. Both end with t; since there is one port, only one may
// run at a time. The relay logs nothing unless environ has RELAY_LOG_LEVEL.
//
// The proxy frees the port that it then gives the relay, so that another process on
// this machine may take it. Start then starts both again, as often as maxStarts.
func (f *Function) Start(t *testing.T, environ []string) *Process {
	t.Helper()
	for range maxStarts {
		if p := f.start(t, environ); p != nil {
			waitListening(t)
			p.URL = edge(t)
			return p
		}
	}
	t.Fatalf("other processes took the relay's port %d times in a row", maxStarts)
	return nil
}

const maxStarts = 5

// start starts the proxy and waits until it says that the relay has started. It
// returns nil if the relay's port was taken.
func (f *Function) start(t *testing.T, environ []string) *Process {
	t.Helper()
	dir, err := os.MkdirTemp("", "ipc") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "ipc")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	p := &Process{Ended: make(chan struct{}, 100)}
	cmd := exec.Command("/bin/sh", "-c", watched)
	cmd.Dir = f.Dir
	cmd.Env = append([]string{"VERCEL_IPC_PATH=" + socket, "VERCEL=1", "VERCEL_REGION=iad1", "RELAY_LOG_LEVEL=off"},
		environ...)
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	if _, err := cmd.StdinPipe(); err != nil { // open for as long as this process lives
		t.Fatal(err)
	}
	// The proxy does not end the server when it ends: the group has both.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end := sync.OnceFunc(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	t.Cleanup(func() {
		end()
		if t.Failed() {
			t.Logf("the proxy and the relay wrote\n%s", p.Logs())
		}
	})
	started := make(chan struct{})
	go p.listen(ln, started)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case <-started:
			return p
		case <-tick.C:
			if strings.Contains(p.Logs(), "bind: address already in use") {
				end()
				return nil
			}
		case <-timeout:
			t.Fatalf("Vercel's proxy does not say that the server has started\n%s", p.Logs())
		}
	}
}

// Logs returns the proxy's and the relay's output so far.
func (p *Process) Logs() string { return p.log.String() }

// listen reads the proxy's messages: JSON, each terminated by a zero byte.
func (p *Process) listen(ln net.Listener, started chan struct{}) {
	conn, err := ln.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	once := sync.OnceFunc(func() { close(started) })
	for r := bufio.NewReader(conn); ; {
		message, err := r.ReadString(0)
		if err != nil {
			return
		}
		switch {
		case strings.Contains(message, `"type":"server-started"`):
			once()
		case strings.Contains(message, `"type":"end"`):
			p.Ended <- struct{}{}
		}
	}
}

// waitListening waits until the proxy accepts connections.
func waitListening(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return
		}
	}
	t.Fatalf("nothing listens on %s", addr)
}
