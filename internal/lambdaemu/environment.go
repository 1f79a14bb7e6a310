package lambdaemu

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// worker is what an environment consists of besides its Runtime API.
type worker interface {
	pid() int // zero if it is no process
	freeze()
	thaw()
	terminate() // asks it to exit
	kill()
	ended() <-chan struct{}
	exit() error // after ended: what became of it
}

// state is what the pool knows of an environment.
type state int

const (
	reserved state = iota // somebody has an event for it
	busy                  // it works on one
	settling              // the answer is complete, but it is not back yet
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
	meant       bool // to exit, or counted already
}

// start starts the environment, which is reserved. h tells the pool of it.
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
		e.runtime.server.Close() // h would wait for whoever starts it
	}
	return err
}

// watch returns when the worker is no more.
func (e *environment) watch() error {
	<-e.worker.ended()
	err := ErrExited
	if exit := e.worker.exit(); exit != nil {
		err = fmt.Errorf("%w: %w", ErrExited, exit)
	}
	e.runtime.exited(err)
	return err
}

// hasEnded reports whether the worker is no more.
func (e *environment) hasEnded() bool {
	select {
	case <-e.worker.ended():
		return true
	default:
		return false
	}
}

// kill ends the environment at once. A goroutine cannot be killed: it loses
// its connections instead.
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
