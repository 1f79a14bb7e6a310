package core

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// canaryKey and canaryToken must never be seen where they do not belong.
const (
	canaryKey   = "sk-CANARY-0123456789"
	canaryToken = "canary-token-0123456789"
)

// A front is a relay on a real server, before a real upstream.
type front struct {
	URL      string
	relay    *Relay
	upstream *httptest.Server
	log      *lockedBuffer

	mu   sync.Mutex
	seen []*http.Request
}

// newFront serves a relay whose upstream is answer, after change has had its
// say on the configuration.
func newFront(t testing.TB, answer http.HandlerFunc, change func(*Config)) *front {
	t.Helper()
	f := &front{log: new(lockedBuffer)}
	f.upstream = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		f.mu.Lock()
		f.seen = append(f.seen, req)
		f.mu.Unlock()
		answer(w, req)
	}))
	f.upstream.Config.ErrorLog = log.New(io.Discard, "", 0)
	f.upstream.Start()
	t.Cleanup(f.upstream.Close)
	f.start(t, f.upstream.URL, change)
	return f
}

// start serves the relay for an upstream's base URL.
func (f *front) start(t testing.TB, upstream string, change func(*Config)) {
	t.Helper()
	cfg := Config{Upstreams: []Secret{Secret(upstream)}, Logger: slog.New(slog.NewJSONHandler(f.log, nil))}
	if change != nil {
		change(&cfg)
	}
	relay, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.relay = relay
	server := httptest.NewUnstartedServer(relay)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	f.URL = server.URL
	t.Cleanup(func() {
		server.Close()
		relay.stop()
	})
}

// requests returns what the upstream saw.
func (f *front) requests() []*http.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seen)
}

// only returns the one request that the upstream saw.
func (f *front) only(t *testing.T) *http.Request {
	t.Helper()
	seen := f.requests()
	if len(seen) != 1 {
		t.Fatalf("upstream saw %d requests, want 1", len(seen))
	}
	return seen[0]
}

// untouched fails t if the upstream saw anything.
func (f *front) untouched(t *testing.T) {
	t.Helper()
	if n := len(f.requests()); n != 0 {
		t.Errorf("upstream saw %d requests, want none", n)
	}
}

// echo responds with the request's body.
func echo(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(body)
}

// ok responds with 200 and a little JSON.
func ok(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"ok":true}`)
}

// do sends a request without following redirections.
func do(t *testing.T, req *http.Request) *http.Response {
	t.Helper()
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

// newRequest returns a request; headers are name, value, name, value.
func newRequest(t *testing.T, method, url, body string, headers ...string) *http.Request {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, r)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	return req
}

// send sends a request and returns its response with the body.
func send(t *testing.T, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	res := do(t, newRequest(t, method, url, body, headers...))
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

// sendRaw writes raw to the server at url and returns the first response. It
// fails if the server hangs up without one.
func sendRaw(t *testing.T, url, raw string) (*http.Response, string) {
	t.Helper()
	conn := dialRaw(t, url)
	// The server may answer and close before it has read everything.
	_, _ = io.WriteString(conn, raw)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no response: %v", err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res, string(body)
}

// dialRaw connects to the server at url. A test that hangs fails by itself.
func dialRaw(t *testing.T, url string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn.(*net.TCPConn)
}

// errorCode returns the code of a response in OpenAI's error shape, and fails
// if it is none of the relay's.
func errorCode(t *testing.T, res *http.Response, body string) string {
	t.Helper()
	var answer struct {
		Error *struct {
			Message, Type, Code string
			Param               *string
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Error == nil {
		t.Fatalf("status %d, body %q: not in OpenAI's error shape", res.StatusCode, body)
	}
	if answer.Error.Type != "relay_error" || answer.Error.Message == "" {
		t.Errorf("error type %q, message %q", answer.Error.Type, answer.Error.Message)
	}
	if got := res.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type = %q, want application/json", got)
	}
	if got := res.Header.Get("X-Relay-Error"); got != answer.Error.Code {
		t.Errorf("X-Relay-Error = %q, want %q", got, answer.Error.Code)
	}
	if got := res.Header.Get("X-Relay"); !strings.HasSuffix(got, "; origin=relay") {
		t.Errorf("X-Relay = %q, want origin=relay", got)
	}
	if res.Header.Get("X-Request-Id") == "" {
		t.Error("no X-Request-Id")
	}
	return answer.Error.Code
}

// wantError fails t unless the response is the relay's error e.
func wantError(t *testing.T, res *http.Response, body string, e *Error) {
	t.Helper()
	if code := errorCode(t, res, body); res.StatusCode != e.Status || code != e.Code {
		t.Errorf("got %d %s, want %d %s", res.StatusCode, code, e.Status, e.Code)
	}
	if got := res.Header.Get("X-Should-Retry") == "false"; got != e.NoRetry {
		t.Errorf("X-Should-Retry false: %t, want %t", got, e.NoRetry)
	}
	if got := res.Header.Get("Retry-After-Ms") != ""; got != (e.RetryAfter > 0) {
		t.Errorf("Retry-After-Ms = %q, want it: %t", res.Header.Get("Retry-After-Ms"), e.RetryAfter > 0)
	}
}

// A lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// receive returns what comes from c, and fails if nothing does.
func receive[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatalf("timed out waiting for %s", what)
		panic("unreachable")
	}
}
