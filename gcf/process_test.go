package gcf

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

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
	*proc.Process
	base   string // without /v1
	output proc.Buffer
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

// start runs a program that serves on 127.0.0.1 at the port in PORT, with only
// environ in its environment, until the test ends.
func start(t *testing.T, file string, environ ...string) *process {
	t.Helper()
	p := new(process)
	running, addr, err := proc.Serve(t.Context(), proc.Options{
		Bare: true, Env: append([]string{"K_SERVICE=relay", "RELAY_LOG_LEVEL=off"}, environ...),
		Log: &p.output, Out: &p.output,
	}, file)
	if err != nil {
		t.Fatal(err)
	}
	p.Process, p.base = running, "http://"+addr
	t.Cleanup(func() {
		p.Kill()
		if out := p.output.String(); strings.Contains(out, "panic") {
			t.Errorf("the function panicked:\n%s", out)
		}
	})
	return p
}

// terminate sends SIGTERM.
func (p *process) terminate(t *testing.T) {
	t.Helper()
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}
