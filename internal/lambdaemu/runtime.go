package lambdaemu

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Runtime is the Runtime API of one environment, and the invocations that go
// through it, one at a time. It is safe for concurrent use.
type Runtime struct {
	// API is the host and port, as in a process's AWS_LAMBDA_RUNTIME_API.
	API string

	function Function
	hooks    hooks
	server   *http.Server
	events   chan *invocation // from dispatch to a waiting /next
	gone     chan struct{}    // closed when the runtime has ended
	closing  sync.Once

	mu         sync.Mutex // guards what follows
	ready      bool       // it has called /next
	current    *invocation
	err        error // why the runtime has ended
	extensions int   // how many have registered
}

// hooks report a runtime's progress to its environment. They are called without
// the Runtime's lock. None is nil.
type hooks struct {
	idle       func() // it waits for an event
	dispatched func() // it gets an event
	delivered  func() // its event is written, so that it may be thawed
	over       func() // it has responded or failed; called before the client can know
	expired    func() // its invocation has timed out
}

// StartRuntime serves a Runtime API until the test ends, for a test that
// brings its own runtime and its own events. Of f it uses only Mode, Timeout,
// Name and Region. An invocation fails at its deadline, but nothing is killed.
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

// Invoke sends the event payload to the runtime, as soon as it is ready for one,
// and returns its response. The error is a *FunctionError or wraps one of this
// package's. If ctx ends, Invoke returns and the function keeps running.
func (r *Runtime) Invoke(ctx context.Context, payload []byte) (*Response, error) {
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
	if r.err != nil { // it exited after it had requested the event
		r.giveUp(inv, r.err)
	}
	inv.timer = time.AfterFunc(r.function.Timeout, func() { r.expire(inv) })
	return time.Now().Add(r.function.Timeout)
}

// end ends the current invocation, when the runtime requests the next. It reports
// false if that is too early, because the runtime has not responded.
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

// expire fails inv, which has timed out, unless the runtime is done with it.
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

// giveUp makes err the result of inv if it has none yet, or else the error at the
// end of its body. The lock must be held.
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

// exited notes that the runtime has ended, by err. A response that is being
// received may still be completed.
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

// close closes all connections and fails the invocation in flight.
func (r *Runtime) close(err error) {
	r.exited(err)
	r.closing.Do(func() { r.server.Close() })
}

// Why an invocation has no response, besides a *FunctionError.
var (
	ErrThrottled = errors.New("all environments are busy")
	ErrTimeout   = errors.New("the function timed out")
	ErrExited    = errors.New("the runtime exited")
	ErrInit      = errors.New("the runtime did not initialize")
	ErrTooLarge  = errors.New("the response is larger than Lambda accepts")
	ErrTruncated = errors.New("the runtime truncated its response")
)

// FunctionError is an error that the runtime reported, by POST .../error or by
// the trailers of a streamed response.
type FunctionError struct {
	Type string // as in Lambda-Runtime-Function-Error-Type
	Body []byte // JSON, as the runtime wrote it
}

// Error implements error.
func (e *FunctionError) Error() string {
	return fmt.Sprintf("the function reported %s", e.Type)
}

// Response is a function's response to one event.
type Response struct {
	RequestID   string
	ContentType string // of the POST; it says whether the body begins with a prelude

	// Body is what the runtime posts. In mode ResponseStream it arrives while it
	// is read, and the runtime waits for the reader. It ends with an error if the
	// response is truncated. It must be read to the end or closed; closing it does
	// not stop the function, whose remaining output is discarded.
	Body io.ReadCloser
}

// phase is the progress of an invocation.
type phase int

const (
	running    phase = iota // the runtime has the event
	responding              // it is posting a response
	over                    // the response is complete, or has failed
)

// invocation is one event on its way through a runtime. Its Runtime's lock
// guards phase, stream and timer.
type invocation struct {
	id      string
	trace   string
	payload []byte
	result  chan result // receives exactly one

	phase  phase
	stream *io.PipeWriter // of the response, if it is streamed
	timer  *time.Timer    // ends at the deadline
}

// result is a Response or an error.
type result struct {
	res *Response
	err error
}

func newInvocation(id, trace string, payload []byte) *invocation {
	return &invocation{id: id, trace: trace, payload: payload, result: make(chan result, 1)}
}

// await returns the response as soon as it begins. The end of ctx does not stop
// the function, since Lambda has no way to tell it that a client disconnected.
func (inv *invocation) await(ctx context.Context) (*Response, error) {
	select {
	case res := <-inv.result:
		return res.res, res.err
	case <-ctx.Done():
		go func() {
			if res := <-inv.result; res.res != nil {
				res.res.Body.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// newRequestID returns a random UUID.
func newRequestID() string {
	b := randomBytes(16)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// newTraceID returns a random X-Ray trace header.
func newTraceID() string {
	return fmt.Sprintf("Root=1-%08x-%s", time.Now().Unix(), randomHex(12))
}

func randomHex(n int) string { return hex.EncodeToString(randomBytes(n)) }

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}
