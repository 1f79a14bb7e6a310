package serve

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.com/relay/core"
)

// A run is a relay that is being served.
type run struct {
	url    string
	server *http.Server
	relay  *core.Relay
	stop   context.CancelFunc
	ended  chan error // gets what Serve returned
}

// start serves a relay of api until the test ends.
func start(t *testing.T, api http.HandlerFunc) *run {
	t.Helper()
	upstream := httptest.NewServer(api)
	t.Cleanup(upstream.Close)
	return startWith(t, core.Config{Upstreams: []core.Secret{core.Secret(upstream.URL)}}, 0)
}

// startWith serves a relay, which does not log by default, until the test ends.
func startWith(t *testing.T, cfg core.Config, idleTimeout time.Duration) *run {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	relay, err := core.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	r := &run{"http://" + ln.Addr().String(), New(relay), relay, stop, make(chan error, 1)}
	r.server.IdleTimeout = idleTimeout
	go func() { r.ended <- Serve(ctx, r.server, relay, ln) }()
	t.Cleanup(func() {
		stop()
		_ = r.server.Close()
	})
	return r
}

// stream begins a streamed response and reads its first event.
func (r *run) stream(t *testing.T) *bufio.Reader {
	t.Helper()
	res, err := http.Get(r.url + "/v1/models")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	body := bufio.NewReader(res.Body)
	if line, err := body.ReadString('\n'); err != nil || line != "data: one\n" {
		t.Fatalf("the stream begins with %q, %v", line, err)
	}
	return body
}

// events returns an API that streams one event, and a second one and its end
// once release is closed.
func events(release chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: one\n\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-release:
			_, _ = io.WriteString(w, "data: two\n\ndata: [DONE]\n\n")
		case <-req.Context().Done():
		}
	}
}

// A stream in flight finishes, while new connections are refused.
func TestShutdownDrains(t *testing.T) {
	release := make(chan struct{})
	r := start(t, events(release))
	body := r.stream(t)
	r.stop()
	if err := <-r.ended; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- Shutdown(r.server, r.relay, time.Minute) }()
	for { // until Shutdown has closed the listener
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			break
		}
		conn.Close()
	}
	select {
	case err := <-ended:
		t.Fatalf("Shutdown = %v while a stream is in flight", err)
	default:
	}
	close(release)
	if rest, err := io.ReadAll(body); err != nil || string(rest) != "\ndata: two\n\ndata: [DONE]\n\n" {
		t.Errorf("the stream ends with %q, %v", rest, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Shutdown = %v, want nil", err)
	}
}

// A stream that does not finish ends with an error event and looks broken.
func TestShutdownEndsStreams(t *testing.T) {
	r := start(t, events(nil))
	body := r.stream(t)
	r.stop()
	<-r.ended
	if err := Shutdown(r.server, r.relay, 50*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown = %v, want %v", err, context.DeadlineExceeded)
	}
	if rest, err := io.ReadAll(body); err == nil || !strings.Contains(string(rest), `"code":"relay_shutdown"`) {
		t.Errorf("the stream ends with %q, %v", rest, err)
	}
}

func TestServeFails(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	relay, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := Serve(t.Context(), New(relay), relay, ln); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve = %v, want %v", err, net.ErrClosed)
	}
}

// The relay itself responds where net/http would by default.
func TestLimits(t *testing.T) {
	r := start(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	for _, test := range []struct {
		name, request string
		status        int
		code          string
	}{
		{"too many header lines, cut off",
			"GET /v1/models HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("a: b\r\n", 16_000), 431, "headers_too_large"},
		{"a long header", "GET /v1/models HTTP/1.1\r\nHost: h\r\na: " + strings.Repeat("b", 100<<10) + "\r\n\r\n", 431,
			"headers_too_large"},
		{"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 400, "invalid_target"},
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.WriteString(conn, test.request) }()
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if got := res.Header.Get("X-Relay-Error"); res.StatusCode != test.status || got != test.code {
			t.Errorf("%s: %d %q, want %d %q", test.name, res.StatusCode, got, test.status, test.code)
		}
		conn.Close()
	}
}
