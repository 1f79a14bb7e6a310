package lambdaemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// worker is what runs a function's code: a process, or a goroutine in its place.
type worker interface {
	pid() int // zero if it is a goroutine
	freeze()
	thaw()
	terminate() // asks it to exit
	kill()
	ended() <-chan struct{}
	exit() error // why it ended; only after ended is closed
}

// state is the pool's view of an environment.
type state int

const (
	reserved state = iota // a request has an event for it
	busy                  // it has an event
	settling              // its response is complete, but it has not requested the next event
	idle                  // it waits for an event
)

// environment is one runtime with its API.
type environment struct {
	number  int
	runtime *Runtime
	worker  worker
	started time.Time

	// Guarded by the pool's lock.
	state       state
	initialized bool
	expected    bool // to exit, or its exit is counted already
}

// start starts the environment, which is reserved. h reports its progress.
func (e *environment) start(f Function, logs io.Writer, h hooks) (err error) {
	if e.runtime, err = newRuntime(f, h); err != nil {
		return err
	}
	e.started = time.Now()
	if f.Run != nil {
		e.worker = startGoroutine(f.Run, e.runtime.API)
		return nil
	}
	if e.worker, err = startProcess(f, e.runtime.API, logs); err != nil {
		e.runtime.server.Close() // not runtime.close: its hook would wait for the lock our caller holds
	}
	return err
}

// watch waits for the end of the worker and returns why it ended.
func (e *environment) watch() error {
	<-e.worker.ended()
	err := ErrExited
	if exit := e.worker.exit(); exit != nil {
		err = fmt.Errorf("%w: %w", ErrExited, exit)
	}
	e.runtime.exited(err)
	return err
}

// hasEnded reports whether the worker has ended.
func (e *environment) hasEnded() bool {
	select {
	case <-e.worker.ended():
		return true
	default:
		return false
	}
}

// kill ends the environment at once. A goroutine cannot be killed: its context is
// canceled and its connections are closed.
func (e *environment) kill() {
	e.worker.kill()
	e.runtime.close(errors.New("killed"))
}

// shutdown ends the environment as Lambda does: with a SIGTERM and half a
// second if an extension is registered, with a SIGKILL if none is.
func (e *environment) shutdown() {
	if e.runtime.wantsSIGTERM() {
		e.worker.terminate()
		grace := time.NewTimer(shutdownGrace)
		defer grace.Stop()
		select {
		case <-e.worker.ended():
		case <-grace.C:
		}
	}
	e.kill()
	<-e.worker.ended()
}

const shutdownGrace = 500 * time.Millisecond

// process is the worker of a Function.Bootstrap.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

func startProcess(f Function, api string, logs io.Writer) (*process, error) {
	cmd := exec.Command(f.Bootstrap)
	cmd.Dir = filepath.Dir(f.Bootstrap)
	cmd.Env = environ(f, api)
	cmd.SysProcAttr = processGroup()
	lines := &lineWriter{w: logs}
	cmd.Stdout, cmd.Stderr = lines, lines
	cmd.WaitDelay = time.Second // for children that keep the pipe
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		lines.end()
		p.kill() // its children, if it left any
		close(p.done)
	}()
	return p, nil
}

// environ returns Lambda's variables and the function's own. Nothing is inherited.
func environ(f Function, api string) []string {
	env := []string{
		"AWS_LAMBDA_RUNTIME_API=" + api,
		"_HANDLER=bootstrap",
		"LAMBDA_TASK_ROOT=" + filepath.Dir(f.Bootstrap),
		"AWS_REGION=" + f.Region,
		"AWS_LAMBDA_FUNCTION_NAME=" + f.Name,
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=" + strconv.Itoa(f.MemoryMB),
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/" + f.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME=" + time.Now().UTC().Format("2006/01/02") + "/[$LATEST]" + randomHex(16),
		"TZ=:UTC",
	}
	for name, value := range f.Env {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env
}

func (p *process) pid() int               { return p.cmd.Process.Pid }
func (p *process) freeze()                { p.signal(signalStop) }
func (p *process) thaw()                  { p.signal(signalContinue) }
func (p *process) kill()                  { p.signal(signalKill) }
func (p *process) ended() <-chan struct{} { return p.done }
func (p *process) exit() error            { return p.err }

// terminate thaws the process as well: a frozen one would not get the signal.
func (p *process) terminate() {
	p.signal(signalTerminate)
	p.signal(signalContinue)
}

// signal does nothing once the process has ended, when its id may be reused.
func (p *process) signal(sig syscall.Signal) {
	select {
	case <-p.done:
	default:
		signalGroup(p.pid(), sig)
	}
}

// goroutine is the worker of a Function.Run.
type goroutine struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

func startGoroutine(run func(context.Context, string) error, api string) *goroutine {
	ctx, cancel := context.WithCancel(context.Background())
	g := &goroutine{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(g.done)
		g.err = run(ctx, api)
	}()
	return g
}

func (g *goroutine) pid() int               { return 0 }
func (g *goroutine) freeze()                {}
func (g *goroutine) thaw()                  {}
func (g *goroutine) terminate()             { g.cancel() }
func (g *goroutine) kill()                  { g.cancel() }
func (g *goroutine) ended() <-chan struct{} { return g.done }
func (g *goroutine) exit() error            { return g.err }

// maxLogs is how many bytes of the logs are kept, of their end.
const maxLogs = 4 << 20

// logs keeps what processes wrote, and the emulator's own lines. Every Write
// takes whole lines.
type logs struct {
	mu   sync.Mutex
	kept bytes.Buffer
	also io.Writer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept.Len()+len(p) > maxLogs {
		l.kept.Next(maxLogs / 2)
	}
	_, _ = l.also.Write(p)
	return l.kept.Write(p)
}

// printf adds one of the emulator's own lines.
func (l *logs) printf(format string, args ...any) {
	fmt.Fprintf(l, "lambdaemu: "+format+"\n", args...)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept.String()
}

// lineWriter writes whole lines to w, so that those of several processes do not mix.
type lineWriter struct {
	w       io.Writer
	partial []byte
}

func (l *lineWriter) Write(p []byte) (int, error) {
	l.partial = append(l.partial, p...)
	if end := bytes.LastIndexByte(l.partial, '\n') + 1; end > 0 {
		_, _ = l.w.Write(l.partial[:end])
		l.partial = append(l.partial[:0], l.partial[end:]...)
	}
	return len(p), nil
}

// end writes a last line that is not terminated.
func (l *lineWriter) end() {
	if len(l.partial) > 0 {
		_, _ = l.w.Write(append(l.partial, '\n'))
	}
}
