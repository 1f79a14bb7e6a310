// Package proc starts programs for tests and benchmarks, and reads what they use
// from the kernel.
package proc

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopTimeout is how long a process may take to end on SIGTERM.
const stopTimeout = 3 * time.Second

// A Process is a running child.
type Process struct {
	cmd   *exec.Cmd
	lines chan string // the first lines of standard output; closed at its end
	ended chan struct{}
	log   tail
	begun time.Time
}

// Options are how to start a process. The zero value is useful.
type Options struct {
	Env     []string // added to this process's environment
	Bare    bool     // the environment is Env alone
	Dir     string
	Discard bool      // standard error goes to the null device
	Log     io.Writer // if not nil, gets standard error too
	Out     io.Writer // if not nil, gets standard output too
}

// Start starts a program. It must be stopped.
func Start(opts Options, name string, args ...string) (*Process, error) {
	p := &Process{cmd: exec.Command(name, args...), lines: make(chan string, 64), ended: make(chan struct{})}
	p.cmd.Env = opts.Env
	if !opts.Bare {
		p.cmd.Env = append(os.Environ(), opts.Env...)
	}
	p.cmd.Dir = opts.Dir
	p.cmd.SysProcAttr = new(syscall.SysProcAttr)
	DieWithParent(p.cmd.SysProcAttr)
	switch {
	case opts.Discard:
	case opts.Log != nil:
		p.cmd.Stderr = io.MultiWriter(&p.log, opts.Log)
	default:
		p.cmd.Stderr = &p.log
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.begun = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	var out io.Reader = stdout
	if opts.Out != nil {
		out = io.TeeReader(stdout, opts.Out)
	}
	go p.watch(out)
	return p, nil
}

// watch keeps the first lines that the process prints, and notes its end.
func (p *Process) watch(stdout io.Reader) {
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		select {
		case p.lines <- lines.Text():
		default: // drop it: nobody awaits so many lines
		}
	}
	close(p.lines)
	_, _ = io.Copy(io.Discard, stdout) // the rest, if a line was too long
	_ = p.cmd.Wait()
	close(p.ended)
}

// Await waits for the next line of standard output that begins with prefix, and
// returns the rest of it.
func (p *Process) Await(ctx context.Context, prefix string) (string, error) {
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return "", p.failure()
			}
			if rest, found := strings.CutPrefix(line, prefix); found {
				return rest, nil
			}
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// Age returns how long ago the process was started.
func (p *Process) Age() time.Duration { return time.Since(p.begun) }

// AwaitListening waits until the process accepts connections at addr, which it
// tries every PollGap.
func (p *Process) AwaitListening(ctx context.Context, addr string) error {
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.ended:
			return p.failure()
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", addr, err)
		case <-time.After(PollGap):
		}
	}
}

// failure returns why the process ended too early.
func (p *Process) failure() error {
	<-p.ended
	return fmt.Errorf("%s ended with %s: %s", p.cmd.Path, p.cmd.ProcessState, p.log.String())
}

// Usage returns what the process and its children have used so far, without the
// CPU time of children that have ended.
func (p *Process) Usage() (Usage, error) { return UsageOf(p.cmd.Process.Pid) }

// PID returns the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends the process a signal.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// ExitCode waits for the end of the process and returns its exit code, or -1 if a
// signal ended it.
func (p *Process) ExitCode() int {
	<-p.ended
	return p.cmd.ProcessState.ExitCode()
}

// Stop sends SIGTERM, and kills the process if it does not end in time.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		return
	case <-time.After(stopTimeout):
	}
	p.Kill()
}

// Kill ends the process at once.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// FreeAddr returns an address of 127.0.0.1 on which nothing listens, a new one
// each time, for programs that cannot report the port they chose. The port is
// below the ephemeral ones (from 32768 on Linux, from 49152 by RFC 6335, section
// 6), so no test that listens on port 0 gets it in the meantime. FreeAddr dials the
// port and does not listen on it: a child that is being started at that moment
// would inherit the listener.
func FreeAddr() (string, error) {
	const minPort, maxPort = 20000, 32767
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(minPort+rand.IntN(maxPort-minPort+1)))
		if _, again := given.LoadOrStore(addr, true); again {
			continue
		}
		conn, err := net.Dial("tcp", addr)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return addr, nil
		}
		if err == nil {
			conn.Close()
		}
	}
	return "", errors.New("no free port was found")
}

// given are the addresses that FreeAddr has returned or found in use.
var given sync.Map

// Output returns the first line that a program prints to standard output or error,
// such as its version. It reports false if there is no such program.
func Output(ctx context.Context, name string, args ...string) (string, bool) {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return "", false
	}
	first, _, _ := bytes.Cut(out, []byte("\n"))
	return string(bytes.TrimSpace(first)), true
}

// A tail keeps the last tailSize bytes that are written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailSize = 2 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	t.b = t.b[max(len(t.b)-tailSize, 0):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.b))
}
