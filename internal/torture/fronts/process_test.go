package fronts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"example.com/relay/core"
	"example.com/relay/internal/proc"
	"example.com/relay/internal/torture"
)

// The column "in process" is core's handler behind net/http's server in the
// test's process, with sockets on both sides: for what cannot be done to a program
// from outside.

// An inside is a relay in the test's process.
type inside struct {
	relay  *core.Relay
	server *httptest.Server
	log    *proc.Buffer
	before int // descriptors of this process
}

// A mount says how an inside is served, beyond its settings. The zero value
// changes nothing.
type mount struct {
	change func(*core.Config)
	around func(http.Handler) http.Handler
	http2  bool // over TLS
}

// startInside starts a relay in this process and returns its base URL.
func (r *rig) startInside(env ...string) string {
	r.Helper()
	return r.mount(mount{}, env...)
}

// mounted starts the front anew, served as m says.
func (r *rig) mounted(m mount) {
	r.Helper()
	r.stop()
	r.transport = &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100}
	r.Cleanup(r.transport.CloseIdleConnections)
	r.base = r.mount(m, "RELAY_UPSTREAMS="+r.URL, "RELAY_ACCESS_TOKENS="+canaryToken)
	if m.http2 {
		r.transport.TLSClientConfig = r.inside.server.Client().Transport.(*http.Transport).TLSClientConfig
		r.transport.ForceAttemptHTTP2 = true
	}
}

func (r *rig) mount(m mount, env ...string) string {
	r.Helper()
	in := &inside{log: new(proc.Buffer), before: descriptors(os.Getpid())}
	cfg, err := core.ParseEnv(env)
	if err != nil {
		r.Fatal(err)
	}
	cfg.Logger = slog.New(slog.NewJSONHandler(in.log, nil))
	if m.change != nil {
		m.change(&cfg)
	}
	if in.relay, err = core.New(cfg); err != nil {
		r.Fatal(err)
	}
	var h http.Handler = in.relay
	if m.around != nil {
		h = m.around(h)
	}
	in.server = httptest.NewUnstartedServer(h)
	in.server.Config.ErrorLog = log.New(in.log, "", 0)
	in.server.EnableHTTP2 = m.http2
	if m.http2 {
		in.server.StartTLS()
	} else {
		in.server.Start()
	}
	r.inside = in
	return in.server.URL
}

// close stops the server and the relay. It fails the test if a request is still in
// flight.
func (in *inside) close(t testing.TB) {
	t.Helper()
	closed := make(chan bool)
	go func() {
		defer close(closed)
		in.server.Close() // waits for requests
	}()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Errorf("a request is still in flight:\n%s", stacks())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := in.relay.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// ours matches any frame of core.
var ours = regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(corePath) + `[./]`)

// finish closes the relay, fails if goroutines or descriptors leaked, and returns
// the log.
func (in *inside) finish(r *rig) string {
	r.Helper()
	in.close(r)
	left := func() (list []string) {
		for stack := range strings.SplitSeq(stacks(), "\n\n") {
			if ours.MatchString(stack) {
				list = append(list, stack)
			}
		}
		return list
	}
	if !eventually(10*time.Second, func() bool { return len(left()) == 0 }) {
		r.Errorf("goroutines leaked:\n%s", strings.Join(left(), "\n\n"))
	}
	const few = 5
	if !eventually(10*time.Second, func() bool { return descriptors(os.Getpid()) <= in.before+few }) {
		r.Errorf("%d descriptors, %d before", descriptors(os.Getpid()), in.before)
	}
	return in.log.String()
}

// stacks returns the stacks of all goroutines.
func stacks() string {
	for b := make([]byte, 1<<20); ; b = make([]byte, 2*len(b)) {
		if n := runtime.Stack(b, true); n < len(b) {
			return string(b[:n])
		}
	}
}

// A roundTripFunc is a RoundTripper that is a function.
type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// panics is a body that yields some bytes and then panics.
type panics struct{ before io.Reader }

func (p panics) Read(b []byte) (int, error) {
	n, err := p.before.Read(b)
	if errors.Is(err, io.EOF) {
		panic(canaryKey)
	}
	return n, err
}

func (panics) Close() error { return nil }

// handlerPanics makes what core calls panic, since no input is known that makes
// core itself panic.
func handlerPanics(r *rig) {
	const event = "data: {\"n\":1}\n\n"
	response := func(contentType, body string) *http.Response {
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {contentType}}, ContentLength: -1,
			Body: panics{strings.NewReader(body)}}
	}
	onward := &http.Transport{DisableCompression: true}
	defer onward.CloseIdleConnections()
	var now string
	r.mounted(mount{change: func(cfg *core.Config) {
		cfg.Transport = roundTripFunc(func(req *http.Request) (*http.Response, error) {
			switch now {
			case "before":
				panic(canaryKey)
			case "amid JSON":
				return response("application/json", `{"id":`), nil
			case "amid events":
				return response("text/event-stream", event), nil
			}
			return onward.RoundTrip(req)
		})
	}})
	for range torture.Pick(3, 100) {
		now = "before"
		r.wantError(r.send("POST", chatPath, chat), http.StatusInternalServerError, "relay_internal_error")
		now = "amid JSON"
		if a := r.send("POST", chatPath, chat); a.err == nil || a.status != 200 || a.body != `{"id":` {
			r.Errorf("amid JSON: got %v, want a broken end", a)
		}
		now = "amid events"
		a := r.send("POST", chatPath, stream)
		if rest, ok := strings.CutPrefix(a.body, event); !ok || a.err == nil || a.status != 200 ||
			!strings.Contains(rest, `"code":"relay_internal_error"`) {
			r.Errorf("amid events: got %v, want the error event and a broken end", a)
		}
	}
	r.wantUpstream(0)
	now = ""
	r.wantNext()
	if n := strings.Count(r.logs(), `"msg":"panic"`); n != 3*torture.Pick(3, 100) {
		r.Errorf("%d panics in the log, want each", n)
	}
	r.note("500 before the first byte; after it, the error event and a broken connection")
}

// plainWriter serves with a minimal writer, which cannot be flushed or hijacked and
// has no deadlines.
func plainWriter(r *rig) {
	r.mounted(mount{around: func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter,
			req *http.Request) {
			h.ServeHTTP(struct{ http.ResponseWriter }{w}, req)
		})
	}})
	r.wantNext()
	want := r.direct(request(r, "POST", r.URL+chatPath, stream, "X-Relay-Token", ""))
	begun := time.Now()
	res := r.open(r.Context(), stream, "gap=30ms")
	first := time.Since(begun)
	got, err := io.ReadAll(res.Body)
	res.Body.Close()
	if whole := time.Since(begun); first < whole/2 {
		r.Errorf("the header came after %v of %v: something flushes", first, whole)
	}
	if err != nil || masked(string(got)) != masked(want.body) || want.body == "" {
		r.Errorf("got %q %v, want %q", got, err, want.body)
	}
	n := 3
	for _, fault := range []string{"cut=3", "reset=3", "bad-chunk", "no-last-chunk", "big-event=100000 cut=3"} {
		if a := r.fault(stream, fault); a.complete() {
			r.Errorf("%s: %v looks complete", fault, a)
		}
		if a := r.fault(chat, fault); a.complete() && strings.Contains(fault, "chunk") {
			r.Errorf("%s, JSON: %v looks complete", fault, a)
		}
		n += 2
	}
	r.wantUpstream(n)
	// A WebSocket needs the connection, and this writer cannot be hijacked.
	w := r.dial()
	w.say("GET /v1/realtime?model=m HTTP/1.1\r\n" + canaries + upgrade + "\r\n")
	a := w.response("GET")
	r.wantError(a, http.StatusBadGateway, "")
	w.Close()
	r.Last().WaitDone(r)
	// A client that disconnects is noticed all the same.
	w = r.dial()
	w.say(post(chatPath, stream, "Fake-Fault: hang\r\n"))
	req := r.Wait(r, n+2)
	w.Close()
	req.WaitCanceled(r)
	r.note(fmt.Sprintf("the same bytes, buffered; a WebSocket: %d %s; nothing tells clients that streams are buffered",
		a.status, a.header.Get("X-Relay-Error")))
}
