package lambdaemu

import (
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// process is the worker that is a Function.Bootstrap.
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

// environ returns what Lambda tells a process, and nothing that it inherits.
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

// terminate wakes it up as well: who is frozen does not hear.
func (p *process) terminate() {
	p.signal(signalTerminate)
	p.signal(signalContinue)
}

// signal does nothing after the end, when the number may be another's.
func (p *process) signal(sig syscall.Signal) {
	select {
	case <-p.done:
	default:
		signalGroup(p.pid(), sig)
	}
}
