package gcf

import (
	"bytes"
	"net"
	"net/http"
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

// function returns the path of the function's program, built once.
var function = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gcf")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "function")
	out, err := exec.Command("go", "build", "-o", file, "./cmd").CombinedOutput()
	if err != nil {
		os.Stderr.Write(out)
	}
	return file, err
})

func TestMain(m *testing.M) {
	status := m.Run()
	if file, err := function(); err == nil {
		os.RemoveAll(filepath.Dir(file))
	}
	os.Exit(status)
}

// A process is a running function.
type process struct {
	base   string // without /v1
	cmd    *exec.Cmd
	output *lockedBuffer
	exited chan struct{} // closed when the process has ended
}

// startFunction runs the function with environ until the test ends.
func startFunction(t *testing.T, environ ...string) *process {
	t.Helper()
	file, err := function()
	if err != nil {
		t.Fatal(err)
	}
	return start(t, file, environ...)
}

// start runs a program that serves on the port in PORT of 127.0.0.1, with
// nothing but environ in its environment, until the test ends.
func start(t *testing.T, file string, environ ...string) *process {
	t.Helper()
	for range 5 {
		if p := tryStart(t, file, environ); p != nil {
			return p
		}
	}
	t.Fatal("five times in a row somebody else took the port")
	return nil
}

// tryStart is start, but returns nil if the port was taken meanwhile.
func tryStart(t *testing.T, file string, environ []string) *process {
	t.Helper()
	addr, err := proc.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(addr)
	p := &process{base: "http://" + addr, cmd: exec.Command(file), output: new(lockedBuffer), exited: make(chan struct{})}
	p.cmd.Env = append([]string{"PORT=" + port, "K_SERVICE=relay", "RELAY_LOG_LEVEL=off"}, environ...)
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // ProcessState tells
		close(p.exited)
	}()
	if !p.awaitAnswer(t) {
		return nil
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.exited
		if out := p.output.String(); strings.Contains(out, "panic") {
			t.Errorf("the function panicked:\n%s", out)
		}
	})
	return p
}

// awaitAnswer waits until the process answers; it reports false if the process
// ends because its port is taken.
func (p *process) awaitAnswer(t *testing.T) bool {
	t.Helper()
	for t.Context().Err() == nil {
		select {
		case <-p.exited:
			if strings.Contains(p.output.String(), "address already in use") {
				return false
			}
			t.Fatalf("the function does not start: %v\n%s", p.cmd.ProcessState, p.output)
		case <-time.After(5 * time.Millisecond):
		}
		if res, err := http.Get(p.base + "/relay/health"); err == nil {
			res.Body.Close()
			return true
		}
	}
	t.Fatal("the function does not answer")
	return false
}

// terminate sends SIGTERM.
func (p *process) terminate(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// exitCode waits for the end of the process.
func (p *process) exitCode() int {
	<-p.exited
	return p.cmd.ProcessState.ExitCode()
}

// A lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
