package fakeopenai

import (
	"bytes"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// waitLimit is how long the Wait functions wait. It is only ever reached by a
// test that fails, so it can be generous to slow machines.
const waitLimit = 30 * time.Second

// Request is what the upstream saw of one request. Its fields do not change
// once Requests, Last or Wait has returned it, and must not be changed.
type Request struct {
	Method           string
	RequestURI       string // as it stood in the request line
	Host             string
	Proto            string
	RemoteAddr       string // one connection has one, so it tells reuse from new ones
	Header           http.Header
	ContentLength    int64 // -1 if unknown
	TransferEncoding []string
	Body             []byte // what arrived of it; nil if the fault "early" left it unread
	BodyErr          error  // not nil if the body broke off
	Trailer          http.Header
	StartedAt        time.Time // when the header had arrived

	// Canceled is closed when the other side went away before the response was
	// complete, or broke off its body.
	Canceled <-chan struct{}
	// Done is closed when the response is complete or given up.
	Done <-chan struct{}

	number         int // counts from 1, in order of arrival
	canceled, done chan struct{}

	mu         sync.Mutex
	canceledAt time.Time
	finishedAt time.Time
	messages   [][]byte
	continued  bool // the last of messages is not whole yet
}

// Messages returns what the client has said so far on a WebSocket, each message
// of text or binary data whole or, if it is the last, as much as has come of it.
func (r *Request) Messages() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.messages)
}

// addFrame records a frame of text or binary data.
func (r *Request) addFrame(f frame) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.continued {
		last := &r.messages[len(r.messages)-1]
		*last = slices.Concat(*last, f.payload)
	} else {
		r.messages = append(r.messages, f.payload)
	}
	r.continued = !f.final
}

// CanceledAt returns when Canceled was closed, or the zero time.
func (r *Request) CanceledAt() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.canceledAt
}

// FinishedAt returns when Done was closed, or the zero time.
func (r *Request) FinishedAt() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.finishedAt
}

// WaitCanceled waits until the other side has gone away, and returns when it
// did. It fails the test if the response is finished without that.
func (r *Request) WaitCanceled(t testing.TB) time.Time {
	t.Helper()
	await(t, r.Done, "the end of "+r.Method+" "+r.RequestURI)
	if r.CanceledAt().IsZero() {
		t.Fatalf("%s %s got its whole response, want it canceled", r.Method, r.RequestURI)
	}
	return r.CanceledAt()
}

// WaitDone waits until the response is complete or given up.
func (r *Request) WaitDone(t testing.TB) {
	t.Helper()
	await(t, r.Done, "the end of "+r.Method+" "+r.RequestURI)
}

// readBody reads all of the request's body into the record.
func (r *Request) readBody(req *http.Request) {
	var body bytes.Buffer
	_, r.BodyErr = body.ReadFrom(req.Body)
	r.Body = body.Bytes()
	r.Trailer = req.Trailer.Clone()
}

func (r *Request) cancel() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.canceledAt.IsZero() && r.finishedAt.IsZero() {
		r.canceledAt = time.Now()
		close(r.canceled)
	}
}

func (r *Request) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finishedAt = time.Now()
	close(r.done)
}

// recorder keeps the requests and tells those who wait for them.
type recorder struct {
	mu       sync.Mutex
	changed  chan struct{} // closed and replaced at every change
	arrived  int
	recorded int // unlike len(requests), it counts those that KeepLast dropped
	requests []*Request
	keep     int
}

// Requests returns the requests whose bodies have arrived or broken off, in
// that order.
func (rr *recorder) Requests() []*Request {
	rr.mu.Lock()
	defer rr.mu.Unlock()
	return slices.Clone(rr.requests)
}

// Last returns the latest of Requests, or nil.
func (rr *recorder) Last() *Request {
	rr.mu.Lock()
	defer rr.mu.Unlock()
	if len(rr.requests) == 0 {
		return nil
	}
	return rr.requests[len(rr.requests)-1]
}

// Arrived returns how many requests have come since the last Reset, counting
// those whose bodies are still on the way.
func (rr *recorder) Arrived() int {
	rr.mu.Lock()
	defer rr.mu.Unlock()
	return rr.arrived
}

// Reset forgets all requests.
func (rr *recorder) Reset() {
	rr.mu.Lock()
	defer rr.mu.Unlock()
	rr.arrived, rr.recorded, rr.requests = 0, 0, nil
}

// KeepLast makes the recorder forget all but the n latest requests, for
// servers that run long. By default it forgets none.
func (rr *recorder) KeepLast(n int) {
	rr.mu.Lock()
	defer rr.mu.Unlock()
	rr.keep = n
}

// Wait waits for the n-th request since the last Reset, the first being 1, and
// returns it. It fails the test if that takes too long.
func (rr *recorder) Wait(t testing.TB, n int) *Request {
	t.Helper()
	var found *Request
	rr.waitFor(t, "a recorded request", func() bool {
		if i := len(rr.requests) - rr.recorded + n - 1; rr.recorded >= n && i >= 0 {
			found = rr.requests[i]
		}
		return found != nil
	})
	return found
}

// WaitArrived waits until n requests have come, their bodies perhaps not.
func (rr *recorder) WaitArrived(t testing.TB, n int) {
	t.Helper()
	rr.waitFor(t, "an arriving request", func() bool { return rr.arrived >= n })
}

// waitFor calls ok, with the lock held, after every change until it is true.
func (rr *recorder) waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(waitLimit)
	for {
		rr.mu.Lock()
		if ok() {
			rr.mu.Unlock()
			return
		}
		changed := rr.changed
		arrived, recorded := rr.arrived, rr.recorded
		rr.mu.Unlock()
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("waited %v for %s; %d arrived, %d recorded", waitLimit, what, arrived, recorded)
		}
	}
}

func (rr *recorder) arrive(req *http.Request) *Request {
	r := &Request{
		Method:           req.Method,
		RequestURI:       req.RequestURI,
		Host:             req.Host,
		Proto:            req.Proto,
		RemoteAddr:       req.RemoteAddr,
		Header:           req.Header.Clone(),
		ContentLength:    req.ContentLength,
		TransferEncoding: slices.Clone(req.TransferEncoding),
		StartedAt:        time.Now(),
		canceled:         make(chan struct{}),
		done:             make(chan struct{}),
	}
	r.Canceled, r.Done = r.canceled, r.done
	rr.mu.Lock()
	defer rr.mu.Unlock()
	rr.arrived++
	r.number = rr.arrived
	rr.signal()
	return r
}

func (rr *recorder) record(r *Request) {
	rr.mu.Lock()
	defer rr.mu.Unlock()
	rr.recorded++
	rr.requests = append(rr.requests, r)
	if over := len(rr.requests) - rr.keep; rr.keep > 0 && over > 0 {
		rr.requests = slices.Delete(rr.requests, 0, over)
	}
	rr.signal()
}

func (rr *recorder) signal() {
	close(rr.changed)
	rr.changed = make(chan struct{})
}

func await(t testing.TB, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(waitLimit):
		t.Fatalf("waited %v for %s", waitLimit, what)
	}
}
