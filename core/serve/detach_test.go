package serve

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/relay/core"
)

// dial connects to the relay until the test ends.
func (r *run) dial(t *testing.T) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn, bufio.NewReader(conn)
}

const getModels = "GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n"

// wantStream reads a stream to its end.
func wantStream(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != want || res.StatusCode != http.StatusOK {
		t.Fatalf("%d %q, %v, want 200 %q", res.StatusCode, body, err, want)
	}
}

// eventsAtOnce is an API whose event stream ends at once, in two pieces.
func eventsAtOnce(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, "data: one\n\n")
	_ = http.NewResponseController(w).Flush()
	_, _ = io.WriteString(w, "data: [DONE]\n\n")
}

const allAtOnce = "data: one\n\ndata: [DONE]\n\n"

// The server's handler does not wait for the end of an event stream, since it would
// hold several times the stream's memory.
func TestStreamIsDetached(t *testing.T) {
	release, returned := make(chan struct{}), make(chan struct{}, 1)
	r := start(t, events(release))
	r.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.relay.ServeHTTP(w, req)
		returned <- struct{}{}
	})
	body := r.stream(t)
	select {
	case <-returned:
	case <-time.After(10 * time.Second):
		t.Error("the handler waits for the stream's end")
	}
	close(release)
	if rest, err := io.ReadAll(body); err != nil || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
		t.Errorf("the stream ends with %q, %v", rest, err)
	}
}

// A connection carries the next request after an event stream: one that comes later,
// and those that were sent before the stream had ended.
func TestConnectionIsReusedAfterStream(t *testing.T) {
	r := start(t, eventsAtOnce)
	conn, from := r.dial(t)
	for _, requests := range []int{1, 1, 3, 1} {
		if _, err := io.WriteString(conn, strings.Repeat(getModels, requests)); err != nil {
			t.Fatal(err)
		}
		for range requests {
			wantStream(t, from, allAtOnce)
		}
	}
	// The limits of a header are those of a new connection.
	tooLong := strings.TrimSuffix(getModels, "\r\n") + strings.Repeat("a: b\r\n", 600) + "\r\n"
	if _, err := io.WriteString(conn, tooLong); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(from, nil)
	if err != nil || res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header that is too large gets %v, %v", res, err)
	}
}

// A client that asks for it has its connection closed after the stream.
func TestConnectionIsClosedAfterStream(t *testing.T) {
	r := start(t, eventsAtOnce)
	conn, from := r.dial(t)
	_, _ = io.WriteString(conn, "GET /v1/models HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	wantStream(t, from, allAtOnce)
	if _, err := from.ReadByte(); err != io.EOF {
		t.Errorf("after the stream the connection says %v, want EOF", err)
	}
}

// A connection that waits for its next request after a stream is closed like any
// idle one: after the idle timeout, and when the server stops.
func TestIdleConnectionAfterStream(t *testing.T) {
	for _, shutdown := range []bool{false, true} {
		upstream := httptest.NewServer(http.HandlerFunc(eventsAtOnce))
		t.Cleanup(upstream.Close)
		timeout := 20 * time.Millisecond
		if shutdown {
			timeout = time.Hour
		}
		r := startWith(t, core.Config{Upstreams: []core.Secret{core.Secret(upstream.URL)}}, timeout)
		conn, from := r.dial(t)
		_, _ = io.WriteString(conn, getModels)
		wantStream(t, from, allAtOnce)
		if shutdown {
			r.stop()
			<-r.ended
			if err := Shutdown(r.server, r.relay, time.Minute); err != nil {
				t.Errorf("Shutdown = %v", err)
			}
		}
		if _, err := from.ReadByte(); err != io.EOF {
			t.Errorf("shutdown %t: the idle connection says %v, want EOF", shutdown, err)
		}
	}
}

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// When the client of a stream leaves, the upstream is cancelled.
func TestClientLeavesStream(t *testing.T) {
	cancelled := make(chan struct{})
	r := start(t, func(w http.ResponseWriter, req *http.Request) {
		defer close(cancelled)
		events(nil)(w, req)
	})
	conn, from := r.dial(t)
	_, _ = io.WriteString(conn, getModels)
	if _, err := http.ReadResponse(from, nil); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	select {
	case <-cancelled:
	case <-time.After(10 * time.Second):
		t.Error("the upstream goes on after the client has left")
	}
}

// A stream that the upstream truncates ends with an error event and looks truncated.
func TestStreamIsCut(t *testing.T) {
	r := start(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: one\n\n")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	body := r.stream(t)
	rest, err := io.ReadAll(body)
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(string(rest), `"code":"upstream_interrupted"`) {
		t.Errorf("the stream ends with %q, %v", rest, err)
	}
}

// A stream is a request in flight until it ends: it counts towards the limit, and is
// logged at its end, with its size.
func TestStreamIsInFlight(t *testing.T) {
	release := make(chan struct{})
	var log lockedBuffer
	upstream := httptest.NewServer(events(release))
	t.Cleanup(upstream.Close)
	r := startWith(t, core.Config{
		Upstreams: []core.Secret{core.Secret(upstream.URL)}, MaxInFlight: 1,
		Logger: slog.New(slog.NewJSONHandler(&log, nil)),
	}, 0)
	body := r.stream(t)
	status := func() int {
		res, err := http.Get(r.url + "/v1/models")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		_, _ = io.Copy(io.Discard, res.Body)
		return res.StatusCode
	}
	if got := status(); got != http.StatusServiceUnavailable {
		t.Errorf("a second request gets %d while a stream is in flight, want 503", got)
	}
	if strings.Contains(log.String(), `"status":200`) {
		t.Error("the stream is logged before its end")
	}
	close(release)
	if _, err := io.ReadAll(body); err != nil {
		t.Fatal(err)
	}
	if got := status(); got != http.StatusOK {
		t.Errorf("a request after the stream's end gets %d, want 200", got)
	}
	if err := r.relay.Shutdown(t.Context()); err != nil { // which waits for its end
		t.Fatal(err)
	}
	if got := log.String(); !strings.Contains(got, `"status":200,"bytes_in":0,"bytes_out":36,`) {
		t.Errorf("the log has %q, want the stream of 36 bytes", got)
	}
}

// Keepalive comments fill the silence of a stream that was detached.
func TestKeepaliveOfDetachedStream(t *testing.T) {
	release := make(chan struct{})
	upstream := httptest.NewServer(events(release))
	t.Cleanup(upstream.Close)
	r := startWith(t, core.Config{Upstreams: []core.Secret{core.Secret(upstream.URL)}, Keepalive: time.Second}, 0)
	body := r.stream(t)
	if blank, err := body.ReadString('\n'); err != nil || blank != "\n" {
		t.Fatalf("the first event ends with %q, %v", blank, err)
	}
	for range 2 {
		if line, err := body.ReadString('\n'); err != nil || line != ": keepalive\n" {
			t.Fatalf("silence brings %q, %v", line, err)
		}
	}
	close(release)
	if rest, err := io.ReadAll(body); err != nil || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
		t.Errorf("the stream ends with %q, %v", rest, err)
	}
}

// Line ends between two requests are skipped, as RFC 9112, section 2.2, asks: some
// clients send one after a body.
func TestLineEndsAfterStream(t *testing.T) {
	release := make(chan struct{}, 1)
	r := start(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: one\n\n")
		_ = http.NewResponseController(w).Flush()
		<-release
		_, _ = io.WriteString(w, "data: [DONE]\n\n")
	})
	conn, from := r.dial(t)
	for _, ends := range []struct{ before, amid, after string }{{"\r\n", "", ""}, {"", "\r\n", ""}, {"", "", "\n\r\n"},
		{"", "", ""}} {
		_, _ = io.WriteString(conn, getModels+ends.before)
		res, err := http.ReadResponse(from, nil)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%q: %v, %v", ends, res, err)
		}
		if _, err := io.ReadFull(res.Body, make([]byte, len("data: one\n\n"))); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, ends.amid)
		release <- struct{}{}
		if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != "data: [DONE]\n\n" {
			t.Fatalf("%q: %q, %v", ends, rest, err)
		}
		_, _ = io.WriteString(conn, ends.after)
	}
}

// A panic of what a stream's end calls breaks that stream, and not the server.
func TestPanicAtTheEndOfAStream(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(eventsAtOnce))
	t.Cleanup(upstream.Close)
	var ended atomic.Int32
	r := startWith(t, core.Config{Upstreams: []core.Secret{core.Secret(upstream.URL)}, Observe: func(core.Request) {
		if ended.Add(1) == 1 {
			panic("a bug")
		}
	}}, 0)
	res, err := http.Get(r.url + "/v1/models")
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(res.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%q, %v, want a broken stream", body, err)
	}
	_, from := r.ask(t, getModels)
	wantStream(t, from, allAtOnce)
}

// A client without a write timeout that reads nothing does not hold a stream that has
// ended for another reason.
func TestDeafClientOfDetachedStream(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		event := []byte("data: " + strings.Repeat("x", 64<<10) + "\n\n")
		for req.Context().Err() == nil {
			_, _ = w.Write(event)
			_ = http.NewResponseController(w).Flush()
		}
	}))
	t.Cleanup(upstream.Close)
	ended := make(chan core.Request, 1)
	r := startWith(t, core.Config{
		Upstreams: []core.Secret{core.Secret(upstream.URL)}, WriteTimeout: -1, MaxStreamTime: time.Second,
		Observe: func(req core.Request) { ended <- req },
	}, 0)
	r.ask(t, getModels)
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the stream is held by a client that does not read")
	}
}

// ask sends a request over a new connection.
func (r *run) ask(t *testing.T, request string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, from := r.dial(t)
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return conn, from
}
