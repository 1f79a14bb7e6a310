package fakeopenai

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Upstream is a fake api.openai.com: an http.Handler that responds as OpenAI
// does, records every request, and breaks in the ways it is told to (see
// ParseFault). It is safe for concurrent use.
type Upstream struct {
	// URL is where a started upstream is reached, "http://127.0.0.1:port"
	// without "/v1". It is empty if the upstream was made by NewUpstream.
	URL string

	// Delay is a wait before each response whose fault names none, to be set before
	// the first request. No real upstream responds at once, and some proxies lose
	// responses that overtake the end of their request.
	Delay time.Duration

	// Server serves a started upstream. It is nil if NewUpstream made it.
	// CloseClientConnections on it simulates connections that died idle.
	Server *httptest.Server

	recorder

	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	inflight sync.WaitGroup

	faultMu sync.Mutex
	fault   func(*http.Request) string

	storedMu  sync.Mutex
	stored    map[string]stored // background responses by ID
	storedIDs []string          // in the order in which they came
}

// NewUpstream returns an upstream that listens nowhere yet.
// Whoever serves it should Close it after its server.
func NewUpstream() *Upstream {
	ctx, cancel := context.WithCancel(context.Background())
	return &Upstream{
		recorder: recorder{changed: make(chan struct{})},
		ctx:      ctx,
		cancel:   cancel,
	}
}

// StartUpstream serves an upstream on a free port of 127.0.0.1 until the test
// ends. What hangs or streams at that moment is broken off, not waited for.
func StartUpstream(t testing.TB) *Upstream {
	t.Helper()
	u := NewUpstream()
	u.Server = httptest.NewUnstartedServer(u)
	// Faults are meant; net/http's complaints about them would only hide others.
	u.Server.Config.ErrorLog = log.New(io.Discard, "", 0)
	u.Server.Start()
	u.URL = u.Server.URL
	t.Cleanup(u.Close)
	return u
}

// Close breaks off every response under way, stops the server of a started
// upstream and returns when the last handler has.
func (u *Upstream) Close() {
	u.cancel()
	if u.Server != nil {
		u.Server.CloseClientConnections()
		u.Server.Close()
	}
	u.inflight.Wait()
}

// SetFault chooses the directives of each request from now on; nil means none.
// f is called once per request, in the order of arrival if requests are not
// concurrent. The directives in a request's own Fake-Fault header are added
// after those of f, and the later of two that exclude each other counts.
func (u *Upstream) SetFault(f func(*http.Request) string) {
	u.faultMu.Lock()
	defer u.faultMu.Unlock()
	u.fault = f
}

// Script gives the next request the first of faults, the one after it the
// second, and so on; requests after the last get the right response.
func (u *Upstream) Script(faults ...string) {
	u.SetFault(func(*http.Request) string {
		if len(faults) == 0 {
			return ""
		}
		next := faults[0]
		faults = faults[1:]
		return next
	})
}

// ServeHTTP implements http.Handler.
func (u *Upstream) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	u.inflight.Add(1)
	defer u.inflight.Done()
	rec := u.arrive(req)
	stop := context.AfterFunc(req.Context(), rec.cancel)
	defer func() {
		if !stop() || req.Context().Err() != nil {
			rec.cancel() // AfterFunc may come too late, or not have begun
		}
		rec.finish()
	}()

	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	defer context.AfterFunc(u.ctx, cancel)()

	fault, err := ParseFault(u.directives(req))
	if req.Header.Get("Accept-Encoding") == "identity" {
		fault.encoding = "" // as every server does
	}
	if fault.delay == 0 {
		fault.delay = u.Delay
	}
	c := &call{u: u, ctx: ctx, w: w, req: req, rec: rec, fault: fault, key: apiKey(req)}
	c.route()
	if c.readsBody() {
		rec.readBody(req)
	}
	u.record(rec)
	if rec.BodyErr != nil {
		rec.cancel()
		panic(http.ErrAbortHandler)
	}
	if err != nil {
		c.write(apiError(http.StatusBadRequest, "invalid_request_error", "fake_fault", err.Error()))
		return
	}
	c.serve()
}

// directives is called once per request and holds the lock meanwhile, so that
// the closure of Script needs none.
func (u *Upstream) directives(req *http.Request) string {
	u.faultMu.Lock()
	defer u.faultMu.Unlock()
	parts := req.Header.Values("Fake-Fault")
	if u.fault != nil {
		parts = append([]string{u.fault(req)}, parts...)
	}
	return strings.Join(parts, " ")
}
