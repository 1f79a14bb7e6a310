package lambdaemu

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Runtime is the Runtime API of one environment, and the invocations that go
// through it, one at a time. It is safe for concurrent use.
type Runtime struct {
	// API is where it is served, as a process finds it in AWS_LAMBDA_RUNTIME_API.
	API string

	function Function
	hooks    hooks
	server   *http.Server
	events   chan *invocation // from dispatch to a waiting /next
	gone     chan struct{}    // closed when there is no runtime any more
	closing  sync.Once

	mu         sync.Mutex
	ready      bool // it has called /next
	current    *invocation
	err        error // why it is gone
	extensions int   // how many have registered
}

// hooks is how an environment learns what its runtime does. They are called
// without the lock of the Runtime. None is nil.
type hooks struct {
	idle       func() // it waits for an event
	dispatched func() // it gets one
	delivered  func() // it may wake up to it
	over       func() // it has answered, or will not: before the client knows
	expired    func() // it has not come back in time
}

// StartRuntime serves a Runtime API until the test ends, for a test that
// brings its own runtime and its own events. Of f, only Mode, Timeout,
// Bandwidth, Name and Region count. Past its deadline an invocation fails, but
// nobody is killed.
func StartRuntime(t testing.TB, f Function) *Runtime {
	t.Helper()
	nothing := func() {}
	r, err := newRuntime(f.withDefaults(), hooks{nothing, nothing, nothing, nothing, nothing})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.close(ErrExited) })
	return r
}

func newRuntime(f Function, h hooks) (*Runtime, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &Runtime{
		API:      listener.Addr().String(),
		function: f,
		hooks:    h,
		events:   make(chan *invocation),
		gone:     make(chan struct{}),
	}
	r.server = &http.Server{Handler: r.handler(), ErrorLog: discard}
	go func() { _ = r.server.Serve(listener) }()
	return r, nil
}

// Invoke sends the event payload to the runtime, as soon as it is ready for
// one, and returns its answer. The error is a *FunctionError or one of ErrX.
// The end of ctx ends the waiting, not the function.
func (r *Runtime) Invoke(ctx context.Context, payload []byte) (*Answer, error) {
	inv := newInvocation(newRequestID(), newTraceID(), payload)
	if err := r.dispatch(ctx, inv); err != nil {
		return nil, err
	}
	return inv.await(ctx)
}

// dispatch waits until the runtime takes the event.
func (r *Runtime) dispatch(ctx context.Context, inv *invocation) error {
	select {
	case r.events <- inv:
		return nil
	case <-r.gone:
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin makes inv the current invocation and starts its clock.
func (r *Runtime) begin(inv *invocation) (deadline time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = inv
	if r.err != nil { // it exited between asking and getting
		r.giveUp(inv, r.err)
	}
	inv.timer = time.AfterFunc(r.function.Timeout, func() { r.expire(inv) })
	return time.Now().Add(r.function.Timeout)
}

// end ends the current invocation, since the runtime is back for the next. It
// reports whether it may be: not before it has answered.
func (r *Runtime) end() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != nil && r.current.phase != over {
		return false
	}
	if r.current != nil {
		r.current.timer.Stop()
		r.current = nil
	}
	r.ready = true
	return true
}

// expire gives up inv, whose time is over, unless the runtime is past it.
func (r *Runtime) expire(inv *invocation) {
	if !r.isCurrent(inv) {
		return
	}
	r.hooks.over()
	r.mu.Lock()
	if r.current != inv {
		r.mu.Unlock()
		return
	}
	r.giveUp(inv, fmt.Errorf("%w after %v", ErrTimeout, r.function.Timeout))
	r.mu.Unlock()
	r.hooks.expired()
}

func (r *Runtime) isCurrent(inv *invocation) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current == inv
}

// giveUp makes err the result of inv, if it has none yet, or the end of its
// body. The lock must be held.
func (r *Runtime) giveUp(inv *invocation, err error) {
	switch {
	case inv.phase == running:
		inv.result <- result{err: err}
	case inv.phase == responding && inv.stream != nil:
		inv.stream.CloseWithError(err)
	case inv.phase == responding:
		inv.result <- result{err: err}
	}
	inv.phase = over
}

// exited says that there is nobody any more who would call. An answer that is
// being received may still come to its end.
func (r *Runtime) exited(err error) {
	r.hooks.over()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return
	}
	r.err = err
	if !r.ready {
		r.err = fmt.Errorf("%w: %w", ErrInit, err)
	}
	close(r.gone)
	if inv := r.current; inv != nil {
		inv.timer.Stop()
		if inv.phase == running {
			r.giveUp(inv, err)
		}
	}
}

// close breaks all connections and gives up what is under way.
func (r *Runtime) close(err error) {
	r.exited(err)
	r.closing.Do(func() { r.server.Close() })
}
