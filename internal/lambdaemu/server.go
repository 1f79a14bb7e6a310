package lambdaemu

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
)

// Server is a function and the service in front of it: an http.Handler that
// runs the function for each request. It is safe for concurrent use.
type Server struct {
	// URL is the base URL of a started server, "http://127.0.0.1:port".
	// It is empty if the server was made by New.
	URL string

	function Function
	front    *front
	id       string // the first label of the domain
	pool     *pool
	logs     *logs
	http     *http.Server // nil if made by New

	mu       sync.Mutex
	closed   bool
	inflight sync.WaitGroup // grows only while not closed
}

// New returns a server that does not listen. Whatever serves it must be closed
// first, then the server. The first request starts the first environment.
func New(f Function) (*Server, error) {
	f, err := f.checked()
	if err != nil {
		return nil, fmt.Errorf("lambdaemu: %w", err)
	}
	s := &Server{function: f, front: fronts[f.Front], id: "emulated" + randomHex(12), logs: &logs{also: f.Log}}
	s.pool = newPool(f, s.logs)
	return s, nil
}

// Start serves f on a free port of 127.0.0.1 until the test ends. Its logs are
// printed if the test fails.
func Start(t testing.TB, f Function) *Server {
	t.Helper()
	s, err := New(f)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.URL = "http://" + listener.Addr().String()
	s.http = &http.Server{Handler: s, ErrorLog: discard}
	go func() { _ = s.http.Serve(listener) }()
	t.Cleanup(func() {
		s.Close()
		if t.Failed() {
			t.Logf("logs of the function:\n%s", s.Logs())
		}
	})
	return s
}

// Close aborts all requests in flight and ends all environments. It may be called
// twice.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	if s.http != nil {
		s.http.Close()
	}
	s.pool.close()
	s.inflight.Wait()
}

// Stats returns the counts so far.
func (s *Server) Stats() Stats { return s.pool.snapshot() }

// PIDs returns the ids of the processes, running or frozen. Those of Function.Run
// are 0.
func (s *Server) PIDs() []int { return s.pool.pids() }

// Logs returns the last megabytes of what the processes wrote to standard output
// and error, with lines that begin with "lambdaemu: " where one failed.
func (s *Server) Logs() string { return s.logs.String() }

// Invoke sends the function payload as an event, past the front. The error is a
// *FunctionError or wraps one of this package's. If ctx ends, Invoke returns and
// the function keeps running.
func (s *Server) Invoke(ctx context.Context, payload []byte) (*Response, error) {
	return s.pool.invoke(ctx, newInvocation(newRequestID(), newTraceID(), payload))
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !s.enter() {
		panic(http.ErrAbortHandler)
	}
	defer s.inflight.Done()
	c, err := s.newCall(req)
	if err != nil {
		s.refuse(w, err)
		return
	}
	payload := encode(s.front.event(c))
	if len(payload) > maxEvent {
		s.refuse(w, errRequestTooLarge)
		return
	}
	// Lambda does not tell a function that the client disconnected.
	res, err := s.pool.invoke(context.WithoutCancel(req.Context()), newInvocation(c.id, c.trace, payload))
	if err != nil {
		s.refuse(w, err)
		return
	}
	if s.front.idHeader != "" {
		w.Header().Set(s.front.idHeader, c.id)
		w.Header().Set("X-Amzn-Trace-Id", c.trace)
	}
	if s.function.Mode == ResponseStream {
		s.stream(w, res)
	} else {
		s.buffer(w, res)
	}
}

// enter counts a request in, unless the server is closed.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.inflight.Add(1)
	}
	return !s.closed
}

// refuse sends the service's own error response and logs err. It flushes, since
// the caller may have to drain the rest of the function's response first.
func (s *Server) refuse(w http.ResponseWriter, err error) {
	s.logs.printf("%v", err)
	s.front.refuse(err).writeTo(w)
	_ = http.NewResponseController(w).Flush()
}
