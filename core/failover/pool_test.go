package failover

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"example.com/relay/core/protocol"
)

// A region is an upstream of a test: a server which counts what it gets and
// responds as its fault says.
type region struct {
	*httptest.Server
	answer atomic.Pointer[http.HandlerFunc]
	health atomic.Pointer[http.HandlerFunc]
	posts  atomic.Int32
	seen   atomic.Pointer[http.Request]
	probes atomic.Int32
}

// relayed responds as a relay forwards a response of the API.
func relayed(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("X-Relay", "relay; origin=upstream")
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.Copy(w, req.Body)
}

// healthy responds as a relay does to a probe.
func healthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-Relay", "relay; origin=relay")
	_, _ = io.WriteString(w, `{"status":"ok"}`)
}

// page responds as a platform does in the relay's place.
func page(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// relayError responds with an error that a relay made itself.
func relayError(status int, code string) http.HandlerFunc {
	return page(status, `{"error":{"message":"m","type":"relay_error","param":null,"code":"`+code+`"}}`,
		"X-Relay", "relay; origin=relay", "X-Relay-Error", code, "Content-Type", "application/json")
}

// reset breaks the connection off once the request has come.
func reset(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_ = conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

func newRegion(t *testing.T) *region {
	t.Helper()
	r := unstartedRegion(t)
	r.Start()
	return r
}

func newTLSRegion(t *testing.T) *region {
	t.Helper()
	r := unstartedRegion(t)
	r.StartTLS()
	return r
}

func unstartedRegion(t *testing.T) *region {
	r := new(region)
	r.set(relayed)
	probe := http.HandlerFunc(healthy)
	r.health.Store(&probe)
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(r.serve))
	r.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(func() { r.Close() })
	return r
}

func (r *region) serve(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path == protocol.HealthPath {
		r.probes.Add(1)
		(*r.health.Load())(w, req)
		return
	}
	if req.Method == http.MethodPost {
		r.posts.Add(1)
	}
	r.seen.Store(req)
	(*r.answer.Load())(w, req)
}

func (r *region) set(h http.HandlerFunc) { r.answer.Store(&h) }

// newPool returns a pool over regions.
func newPool(t *testing.T, opts Options, regions ...*region) *Pool {
	t.Helper()
	urls := make([]string, len(regions))
	for i, r := range regions {
		urls[i] = r.URL + "#" + string(rune('a'+i))
	}
	return openPool(t, opts, urls...)
}

func openPool(t *testing.T, opts Options, urls ...string) *Pool {
	t.Helper()
	p, err := New(urls, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// post sends a POST through the pool and returns the response's status and body,
// and how it was sent.
func post(t *testing.T, p *Pool, body string) (int, string, Result, error) {
	t.Helper()
	return request(t, p, http.MethodPost, body)
}

func request(t *testing.T, p *Pool, method, body string) (int, string, Result, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://any.example/v1/chat/completions?x=%zz;y",
		strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, sent, err := p.Send(req, Route{})
	if err != nil {
		return 0, "", sent, err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	return res.StatusCode, string(got), sent, err
}

// failedWith reports whether err is an *Error of that kind and of these classes.
func failedWith(err error, ambiguous bool, classes ...string) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Ambiguous != ambiguous || len(e.Failures) != len(classes) {
		return false
	}
	for i, class := range classes {
		if e.Failures[i].Class != class {
			return false
		}
	}
	return true
}

// What a response of the first region makes of a request. Its health is well all
// the time, so no page is held against it.
func TestWhatMovesOn(t *testing.T) {
	const throttled = `{"Reason":"ConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}`
	const apiError = `{"error":{"message":"m","type":"invalid_request_error","param":null,"code":"model_not_found"}}`
	const refused = `{"error":{"code":"unsupported_country_region_territory","message":"Country, region, or ` +
		`territory not supported","param":null,"type":"request_forbidden"}}`
	marked := func(status int, body string) http.HandlerFunc {
		return page(status, body, "X-Relay", "relay; origin=upstream", "Content-Type", "application/json")
	}
	for _, test := range []struct {
		name    string
		answer  http.HandlerFunc
		status  int // that the client gets; 200 is the second region's, 0 an ambiguous error
		state   string
		lastErr string
	}{
		{"the API's 429", marked(429, apiError), 429, "up", ""},
		{"the API's 500", marked(500, apiError), 500, "up", ""},
		{"the API's 503", marked(503, "busy"), 503, "up", ""},
		{"the API's 403", marked(403, apiError), 403, "up", ""},
		{"refused region", marked(403, refused), 200, "down", ClassRegionRefused},
		{"Lambda throttles", page(429, throttled, "Content-Type", "application/json"), 200, "up", "platform_429"},
		{"no instance", page(429, "Rate exceeded."), 200, "up", "platform_429"},
		{"unavailable", page(503, "<html>"), 200, "up", "platform_503"},
		{"no deployment", page(404, "The deployment could not be found", "X-Vercel-Error", "DEPLOYMENT_NOT_FOUND"), 200,
			"up", "platform_404"},
		{"no permission", page(403, `{"Message":"Forbidden"}`, "Content-Type", "application/json"), 200, "up",
			"platform_403"},
		{"login page", page(302, "", "Location", "https://login.example/"), 200, "up", "platform_302"},
		{"crashed function", page(502, `{"message":"Internal server error"}`, "Content-Type", "application/json"), 0,
			"up", "platform_502"},
		{"ended function", page(504, "timeout"), 0, "up", "platform_504"},
		{"unmarked API", page(404, apiError, "Content-Type", "application/json"), 404, "up", ""},
		{"relay cannot connect", relayError(502, "upstream_connect"), 200, "suspect", "upstream_connect"},
		{"relay is full", relayError(503, "relay_overloaded"), 200, "suspect", "relay_overloaded"},
		{"relay misconfigured", relayError(500, "relay_misconfigured"), 200, "down", "relay_misconfigured"},
		{"relay had a reset", relayError(502, "upstream_reset"), 502, "suspect", "upstream_reset"},
		{"client's own token", relayError(401, "invalid_access_token"), 401, "up", ""},
		{"too large there", relayError(413, "body_too_large"), 200, "up", ""},
		{"reset", reset, 0, "up", ClassReset},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, b := newRegion(t), newRegion(t)
			p := newPool(t, Options{}, a, b)
			a.set(test.answer)
			status, body, sent, err := post(t, p, "hello")
			switch {
			case test.status == 0:
				if !failedWith(err, true, test.lastErr) || b.posts.Load() != 0 {
					t.Errorf("got %d %v, second region got %d", status, err, b.posts.Load())
				}
			case status != test.status || err != nil:
				t.Errorf("got %d %v, want %d", status, err, test.status)
			case status == 200 && (body != "hello" || sent.Upstream != "b" || sent.Attempts != 2 ||
				b.posts.Load() != 1):
				t.Errorf("got %q, %+v, second region got %d", body, sent, b.posts.Load())
			case status != 200 && (sent.Upstream != "a" || sent.Attempts != 1 || b.posts.Load() != 0):
				t.Errorf("%+v, second region got %d", sent, b.posts.Load())
			}
			if st := p.Status()[0]; st.State != test.state || st.LastError != test.lastErr {
				t.Errorf("state %s, last error %q, want %s, %q", st.State, st.LastError, test.state, test.lastErr)
			}
			if n := a.posts.Load(); n != 1 {
				t.Errorf("first region got %d requests, want 1", n)
			}
		})
	}
}

func TestResendingWhatIsAmbiguous(t *testing.T) {
	for _, test := range []struct {
		name   string
		method string
		opts   Options
		faulty int // regions that reset
		status int // 0: an ambiguous error
		sent   int32
	}{
		{"POST", "POST", Options{}, 1, 0, 0},
		{"POST, resent", "POST", Options{ResendAmbiguous: true}, 1, 200, 1},
		{"POST, resent once only", "POST", Options{ResendAmbiguous: true}, 2, 0, 0},
		{"GET", "GET", Options{}, 2, 200, 1},
		{"GET, all broken", "GET", Options{}, 3, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			regions := []*region{newRegion(t), newRegion(t), newRegion(t)}
			for _, r := range regions[:test.faulty] {
				r.set(reset)
			}
			status, _, _, err := request(t, newPool(t, test.opts, regions...), test.method, "x")
			if status != test.status || test.status == 0 != (err != nil) {
				t.Errorf("got %d, %v", status, err)
			}
			if test.status == 0 {
				if e, ok := errors.AsType[*Error](err); !ok || !e.Ambiguous {
					t.Errorf("got %v, want an ambiguous error", err)
				}
			}
		})
	}
}

// closedPort returns an address that refuses connections.
func closedPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return "http://" + ln.Addr().String()
}

func TestRefusedConnections(t *testing.T) {
	b := newRegion(t)
	p := openPool(t, Options{}, closedPort(t)+"#a", b.URL+"#b")
	for i := range 10 {
		status, _, sent, err := post(t, p, "x")
		want := 2
		if i >= maxStrikes {
			want = 1 // it is down by then
		}
		if status != 200 || err != nil || sent.Attempts != want {
			t.Errorf("request %d: %d %v after %d attempts, want %d", i, status, err, sent.Attempts, want)
		}
	}
	if st := p.Status(); st[0].State != "down" || st[0].LastError != ClassRefused || st[1].State != "up" {
		t.Errorf("states: %+v", st)
	}
}

func TestAllDown(t *testing.T) {
	p := openPool(t, Options{}, closedPort(t)+"#a", closedPort(t)+"#b", closedPort(t)+"#c", closedPort(t)+"#d")
	for range 5 {
		_, _, sent, err := post(t, p, "x")
		if !failedWith(err, false, ClassRefused, ClassRefused, ClassRefused) || sent.Attempts != maxAttempts {
			t.Errorf("got %v after %d attempts", err, sent.Attempts)
		}
	}
	inUse := 0
	for _, st := range p.Status() {
		if st.State == "up" {
			t.Errorf("a dead upstream is up: %+v", st)
		}
		if st.RetryIn == 0 {
			inUse++
		}
	}
	if inUse != 1 {
		t.Errorf("%d upstreams are in use, want the last one: %+v", inUse, p.Status())
	}
}

// silentListener accepts connections and never says anything.
func silentListener(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var held sync.Map
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			held.Store(conn, true)
		}
	})
	t.Cleanup(func() {
		ln.Close()
		wait.Wait()
		held.Range(func(conn, _ any) bool { conn.(net.Conn).Close(); return true })
	})
	return "https://" + ln.Addr().String()
}

// A connect that hangs in its TLS handshake costs the hedge's delay, until the
// upstream is down, and nothing at all then.
func TestHangingConnects(t *testing.T) {
	b := newRegion(t)
	p := openPool(t, Options{}, silentListener(t)+"#a", b.URL+"#b")
	for i := range 5 {
		start := time.Now()
		status, _, sent, err := post(t, p, "x")
		took := time.Since(start)
		if status != 200 || err != nil || sent.Upstream != "b" {
			t.Fatalf("got %d %v from %s", status, err, sent.Upstream)
		}
		if i < maxStrikes && took < hedgeAfter {
			t.Errorf("request %d took %v: nothing was tried first", i, took)
		}
		if i >= maxStrikes && sent.Attempts != 1 {
			t.Errorf("request %d took %d attempts", i, sent.Attempts)
		}
	}
	if st := p.Status()[0]; st.State != "down" || st.LastError != ClassTimeout {
		t.Errorf("%+v", st)
	}
}

func TestConnectsAreBounded(t *testing.T) {
	p := openPool(t, Options{}, silentListener(t)+"#a", silentListener(t)+"#b", silentListener(t)+"#c")
	start := time.Now()
	_, _, _, err := post(t, p, "x")
	if took := time.Since(start); took < connectTimeout || took > 2*connectTimeout {
		t.Errorf("took %v", took)
	}
	if e, ok := errors.AsType[*Error](err); !ok || e.Ambiguous || len(e.Failures) != 3 {
		t.Errorf("got %v", err)
	}
}

// When no upstream responds, one request at a time finds out, and the others need not
// wait for it.
func TestFailingFast(t *testing.T) {
	p := openPool(t, Options{}, silentListener(t)+"#a", silentListener(t)+"#b")
	for range maxStrikes {
		if _, _, _, err := post(t, p, "x"); !failedWith(err, false, ClassTimeout, ClassTimeout) {
			t.Fatalf("got %v", err)
		}
	}
	tries := make(chan time.Duration, 20)
	for range cap(tries) {
		go func() {
			start := time.Now()
			if _, _, _, err := post(t, p, "x"); err == nil {
				t.Error("got a response")
			}
			tries <- time.Since(start)
		}()
	}
	fast := 0
	for range cap(tries) {
		if <-tries < hedgeAfter {
			fast++
		}
	}
	if fast < cap(tries)-2 { // one for each upstream
		t.Errorf("%d of %d failed fast", fast, cap(tries))
	}
}

func TestInvalidCertificate(t *testing.T) {
	defer func(d time.Duration) { hedgeAfter = d }(hedgeAfter)
	hedgeAfter = time.Minute // machines are slow at times
	bad := newTLSRegion(t)   // whose certificate nobody trusts
	b := newRegion(t)
	var log bytes.Buffer
	p := openPool(t, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, bad.URL+"#a", b.URL+"#b")
	if status, _, sent, err := post(t, p, "x"); status != 200 || err != nil || sent.Upstream != "b" {
		t.Errorf("got %d %v from %s", status, err, sent.Upstream)
	}
	if st := p.Status()[0]; st.State != "down" || st.LastError != ClassCertificate {
		t.Errorf("%+v", st)
	}
	if !strings.Contains(log.String(), "upstream down") || !strings.Contains(log.String(), "reason=certificate") {
		t.Errorf("log: %s", log.String())
	}
}

func TestTokensAndPaths(t *testing.T) {
	a := newRegion(t)
	host := strings.TrimPrefix(a.URL, "http://")
	for _, test := range []struct{ url, path, token string }{
		{a.URL, "/v1/chat/completions?x=%zz;y", ""},
		{a.URL + "/v1/", "/v1/chat/completions?x=%zz;y", ""},
		{"http://rt_secret@" + host + "/base%20/v1", "/base%20/v1/chat/completions?x=%zz;y", "secret"},
	} {
		p := openPool(t, Options{}, test.url)
		if status, _, _, err := post(t, p, "x"); status != 200 || err != nil {
			t.Fatalf("%s: %d %v", test.url, status, err)
		}
		seen := a.seen.Load()
		if seen.RequestURI != test.path || seen.Host != host || seen.Header.Get("X-Relay-Token") != test.token ||
			seen.Header.Get("Authorization") != "" {
			t.Errorf("%s: upstream saw %s at %s, token %q", test.url, seen.RequestURI, seen.Host,
				seen.Header.Get("X-Relay-Token"))
		}
		if name := p.Status()[0].Name; strings.Contains(name, "secret") {
			t.Errorf("name %q", name)
		}
	}
	_, err := New([]string{"https://rt_sec\x01ret@host"}, Options{})
	if err == nil || strings.Contains(err.Error(), "sec") {
		t.Errorf("got %v", err)
	}
}

// A region that comes back is tried by one request, which cannot be lost by it.
func TestRecovery(t *testing.T) {
	a, b := newRegion(t), newRegion(t)
	p := newPool(t, Options{}, a, b)
	if _, _, _, err := post(t, p, "x"); err != nil { // a shows that it is a relay
		t.Fatal(err)
	}
	a.set(page(503, "down"))
	dead := page(503, "down")
	a.health.Store(&dead)
	for range maxStrikes {
		if status, _, sent, err := post(t, p, "x"); status != 200 || err != nil || sent.Upstream != "b" {
			t.Fatalf("got %d %v", status, err)
		}
	}
	due := func() {
		h := &p.list()[0].health
		h.mu.Lock()
		defer h.mu.Unlock()
		h.until = time.Unix(1, 0)
	}
	posts := a.posts.Load()
	due()
	if status, _, sent, err := post(t, p, "x"); status != 200 || err != nil || sent.Upstream != "b" ||
		a.posts.Load() != posts || a.probes.Load() == 0 {
		t.Errorf("trial of a dead region: %d %v from %s, %d posts, %d probes", status, err, sent.Upstream,
			a.posts.Load()-posts, a.probes.Load())
	}
	if st := p.Status()[0]; st.State != "down" || st.RetryIn < minBackoff {
		t.Errorf("after a failed trial: %+v", st)
	}
	a.set(relayed)
	well := http.HandlerFunc(healthy)
	a.health.Store(&well)
	due()
	if status, _, sent, err := post(t, p, "x"); status != 200 || err != nil || sent.Upstream != "a" {
		t.Errorf("trial of a region that is back: %d %v from %s", status, err, sent.Upstream)
	}
	if st := p.Status()[0]; st.State != "up" {
		t.Errorf("after a good trial: %+v", st)
	}
}

// While one request tries a region, others do not.
func TestOneTrialAtATime(t *testing.T) {
	a, b := newRegion(t), newRegion(t)
	p := newPool(t, Options{}, a, b)
	if _, _, _, err := post(t, p, "x"); err != nil {
		t.Fatal(err)
	}
	entered, leave := make(chan bool, 1), make(chan bool)
	slow := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		entered <- true
		<-leave
		healthy(w, req)
	})
	a.health.Store(&slow)
	h := &p.list()[0].health
	h.mu.Lock()
	h.until = time.Unix(1, 0)
	h.mu.Unlock()
	done := make(chan string, 1)
	go func() {
		_, _, sent, _ := post(t, p, "x")
		done <- sent.Upstream
	}()
	<-entered
	for range 20 {
		if status, _, sent, err := post(t, p, "x"); status != 200 || err != nil || sent.Upstream != "b" ||
			sent.Attempts != 1 {
			t.Errorf("got %d %v from %s after %d attempts", status, err, sent.Upstream, sent.Attempts)
		}
	}
	close(leave)
	<-done
	if n := a.probes.Load(); n != 1 {
		t.Errorf("%d trials, want 1", n)
	}
}

func TestBodies(t *testing.T) {
	large := strings.Repeat("x", 2<<20)
	for _, test := range []struct {
		name, body string
		fault      http.HandlerFunc // nil: refuses connections
		status     int
	}{
		{"small, unprocessed", "small", page(429, "throttled"), 200},
		{"large, refused", large, nil, 200},
		{"large, unprocessed", large, page(429, "throttled"), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, b := newRegion(t), newRegion(t)
			p := newPool(t, Options{}, a, b)
			if test.fault == nil {
				a.Close()
			} else {
				a.set(test.fault)
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://any.example/v1/files", nil)
			if err != nil {
				t.Fatal(err)
			}
			src := &closer{Reader: strings.NewReader(test.body)}
			req.Body, req.ContentLength = src, int64(len(test.body))
			res, err := p.RoundTrip(req)
			if test.status == 0 {
				if !failedWith(err, false, "platform_429") {
					t.Errorf("got %v", err)
				}
			} else if err != nil || res.StatusCode != test.status {
				t.Fatalf("got %v", err)
			} else if got, err := io.ReadAll(res.Body); string(got) != test.body || err != nil {
				t.Errorf("%d bytes came back, %v", len(got), err)
			}
			if res != nil {
				res.Body.Close()
			}
			if !src.closed.Load() {
				t.Error("the request's body was not closed")
			}
		})
	}
}

type closer struct {
	io.Reader
	closed atomic.Bool
}

func (c *closer) Close() error { c.closed.Store(true); return nil }

func TestClientGone(t *testing.T) {
	a, b := newRegion(t), newRegion(t)
	entered := make(chan bool)
	gone := make(chan bool)
	a.set(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		entered <- true
		<-req.Context().Done()
		gone <- true
	})
	p := newPool(t, Options{ResendAmbiguous: true}, a, b)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://any.example/v1/responses",
		strings.NewReader("x"))
	if _, err := p.RoundTrip(req); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-gone
	if b.posts.Load() != 0 {
		t.Error("it was sent again")
	}
	if st := p.Status()[0]; st.LastError != "" || st.InFlight != 0 {
		t.Errorf("%+v", st)
	}
}

// A body that breaks off is the client's fault, and nobody else gets it.
func TestBrokenBody(t *testing.T) {
	a, b := newRegion(t), newRegion(t)
	p := newPool(t, Options{ResendAmbiguous: true}, a, b)
	broken := errors.New("client's connection broke")
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://any.example/v1/files",
		io.MultiReader(strings.NewReader("some"), iotest.ErrReader(broken)))
	if _, err := p.RoundTrip(req); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if st := p.Status()[0]; st.LastError != "" || b.posts.Load() != 0 {
		t.Errorf("%+v, second region got %d", st, b.posts.Load())
	}
}

// Ten thousand requests through hedged connects: each is seen once.
func TestNothingIsSentTwice(t *testing.T) {
	n := 3000
	if testing.Short() {
		n = 1000
	}
	var seen sync.Map
	record := func(w http.ResponseWriter, req *http.Request) {
		id, _ := io.ReadAll(req.Body)
		if _, twice := seen.LoadOrStore(string(id), true); twice {
			t.Errorf("%s was sent twice", id)
		}
		w.Header().Set("X-Relay", "relay; origin=upstream")
		_, _ = w.Write(id)
	}
	defer func(d time.Duration) { hedgeAfter = d }(hedgeAfter)
	hedgeAfter = 3 * time.Millisecond
	a, b, c := newTLSRegion(t), newTLSRegion(t), newTLSRegion(t)
	for _, r := range []*region{a, b, c} {
		r.set(record)
	}
	// The first region's handshakes are slow, so that others are tried alongside.
	slow := slowConnect(t, a.URL, 5*time.Millisecond)
	p := openPool(t, Options{TLS: trusting(a.Server), HTTP: HTTP1}, slow+"#a", b.URL+"#b", c.URL+"#c")
	var wait sync.WaitGroup
	ids := make(chan int)
	for range 32 {
		wait.Go(func() {
			for id := range ids {
				status, body, _, err := post(t, p, strconv.Itoa(id))
				if status != 200 || err != nil || body != strconv.Itoa(id) {
					t.Errorf("request %d: %d %q %v", id, status, body, err)
				}
			}
		})
	}
	for id := range n {
		ids <- id
		if id%200 == 0 { // connections must be made anew
			for _, u := range p.list() {
				u.connections.RetireAll()
			}
		}
	}
	close(ids)
	wait.Wait()
	count := 0
	seen.Range(func(_, _ any) bool { count++; return true })
	if total := a.posts.Load() + b.posts.Load() + c.posts.Load(); count != n || int(total) != n {
		t.Errorf("%d ids were seen in %d requests, want %d", count, total, n)
	}
	t.Logf("requests by region: %d, %d, %d", a.posts.Load(), b.posts.Load(), c.posts.Load())
	if b.posts.Load()+c.posts.Load() == 0 { // a may get none: on a busy machine it is often late, and struck
		t.Error("nothing was hedged")
	}
}

// slowConnect returns the address of a relay of bytes to an upstream which lets
// each connection wait before its first bytes pass, so that TLS handshakes with
// it take that long.
func slowConnect(t *testing.T, upstream string, wait time.Duration) string {
	t.Helper()
	to := strings.TrimPrefix(upstream, "https://")
	address := scripted(t, func(conn *net.TCPConn, _ int) {
		time.Sleep(wait)
		onward, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", to)
		if err != nil {
			return
		}
		defer onward.Close()
		go func() {
			_, _ = io.Copy(onward, conn)
			_ = onward.(*net.TCPConn).CloseWrite()
		}()
		_, _ = io.Copy(conn, onward)
	})
	return "https://" + strings.TrimPrefix(address, "http://")
}

func TestConnectionsAreReused(t *testing.T) {
	var mu sync.Mutex
	addresses := make(map[string]bool)
	a := newRegion(t)
	a.set(func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		addresses[req.RemoteAddr] = true
		mu.Unlock()
		relayed(w, req)
	})
	p := newPool(t, Options{}, a)
	for range 50 {
		if status, _, _, err := post(t, p, "x"); status != 200 || err != nil {
			t.Fatalf("%d %v", status, err)
		}
	}
	if len(addresses) != 1 {
		t.Errorf("%d connections for 50 requests in a row", len(addresses))
	}
}

func trusting(server *httptest.Server) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return &tls.Config{RootCAs: roots}
}

func TestHTTP2(t *testing.T) {
	var mu sync.Mutex
	addresses := make(map[string]bool)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		addresses[req.RemoteAddr] = true
		mu.Unlock()
		w.Header().Set("X-Proto", req.Proto)
		relayed(w, req)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	p := openPool(t, Options{TLS: trusting(server), HTTP: HTTP2}, server.URL)
	if _, _, _, err := post(t, p, "x"); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			if status, body, _, err := post(t, p, "hello"); status != 200 || body != "hello" || err != nil {
				t.Errorf("%d %q %v", status, body, err)
			}
		})
	}
	wait.Wait()
	if len(addresses) != 1 {
		t.Errorf("%d connections, want one for all", len(addresses))
	}
}

// scripted serves each connection of a listener by a function.
func scripted(t *testing.T, serve func(conn *net.TCPConn, n int)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		for n := 0; ; n++ {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wait.Go(func() {
				defer conn.Close()
				serve(conn.(*net.TCPConn), n)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		wait.Wait()
	})
	return "http://" + ln.Addr().String()
}

// After a freeze the upstream has closed the pooled connections, and the pool
// does not know yet. No POST may fail by that.
func TestNoRequestFailsAfterAFreeze(t *testing.T) {
	var served atomic.Int32
	upstream := scripted(t, func(conn *net.TCPConn, _ int) {
		req, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		served.Add(1)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		_, _ = conn.Read(make([]byte, 1)) // a second request, or the end
		_ = conn.SetLinger(0)             // a reset on reuse
	})
	p := openPool(t, Options{}, upstream)
	var clock atomic.Int64
	p.clock = func() time.Time { return time.Unix(clock.Load(), 0) }
	for range 100 {
		clock.Add(31)
		if status, body, _, err := post(t, p, "{}"); status != 200 || body != "ok" || err != nil {
			t.Fatalf("got %d %s %v", status, body, err)
		}
	}
	if n := served.Load(); n != 100 {
		t.Errorf("upstream served %d requests, want 100", n)
	}
}

// When the process may have been frozen, no connection from before is used.
func TestThaw(t *testing.T) {
	a := unstartedRegion(t)
	var connections atomic.Int32
	a.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	a.Start()
	p := newPool(t, Options{}, a)
	at := time.Unix(1000, 0)
	p.clock = func() time.Time { return at }
	for i, step := range []struct {
		pass time.Duration
		end  bool // a long stream ends, instead of a request
		want int32
	}{
		{0, false, 1},
		{19 * time.Second, false, 1},
		{21 * time.Second, false, 2}, // frozen
		{time.Hour, true, 2},
		{time.Second, false, 2},
		{-time.Hour, false, 3}, // the clock was set back
		{time.Second, false, 3},
	} {
		at = at.Add(step.pass)
		if step.end {
			p.touch()
		} else if status, _, _, err := post(t, p, "x"); status != 200 || err != nil {
			t.Fatal(status, err)
		}
		if got := connections.Load(); got != step.want {
			t.Errorf("step %d: %d connections, want %d", i, got, step.want)
		}
	}
}

// A region in which every connect takes long is hedged by the first requests
// that find it so; while they wait, others go elsewhere at once, and take nothing
// of the budget.
func TestSlowConnectsAreHedgedByFew(t *testing.T) {
	b := newRegion(t)
	p := openPool(t, Options{}, silentListener(t)+"#a", b.URL+"#b")
	p.list()[0].health.measured(time.Minute) // as ever there
	var first sync.WaitGroup
	for range maxStrikes {
		first.Go(func() {
			if status, _, sent, err := post(t, p, "x"); status != 200 || err != nil || sent.Attempts != 2 {
				t.Errorf("got %d %v after %d attempts", status, err, sent.Attempts)
			}
		})
	}
	first.Wait()
	for range 100 {
		if status, _, sent, err := post(t, p, "x"); status != 200 || err != nil || sent.Attempts != 1 ||
			sent.Upstream != "b" {
			t.Fatalf("got %d %v from %s after %d attempts", status, err, sent.Upstream, sent.Attempts)
		}
	}
	if st := p.Status()[0]; st.State != "up" {
		t.Errorf("%+v", st)
	}
}
