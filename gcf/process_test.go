package gcf

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"example.com/relay/internal/proc"
)

// function is the function's program, as gcf/cmd.
var function = proc.NewProgram("function", proc.GoBuild("./cmd"))

func TestMain(m *testing.M) { os.Exit(proc.Main(m, function)) }

// A process is a running function.
type process struct {
	*proc.Process
	base   string // without /v1
	output proc.Buffer
}

// startFunction runs the function with environ until the test ends.
func startFunction(t *testing.T, environ ...string) *process {
	t.Helper()
	return start(t, function.Path(t), environ...)
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
