package cloudflare

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/relay/internal/workerd"
)

// A front is the Worker on its runtime, before an upstream.
type front struct {
	*workerd.Tested
	upstream *httptest.Server
}

// newFront serves the Worker of today for an upstream that is answer. {upstream}
// in the settings stands for its URL.
func newFront(t testing.TB, answer http.HandlerFunc, settings ...string) *front {
	t.Helper()
	f := &front{upstream: startUpstream(t, answer)}
	environ := []string{"RELAY_UPSTREAMS=" + f.upstream.URL}
	for _, setting := range settings {
		setting = strings.ReplaceAll(setting, "{host}", strings.TrimPrefix(f.upstream.URL, "http://"))
		environ = append(environ, strings.ReplaceAll(setting, "{upstream}", f.upstream.URL))
	}
	f.Tested = serve(t, "worker.js", workerd.DefaultDate, environ...)
	return f
}

func startUpstream(t testing.TB, answer http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(answer)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // faults are meant
	server.Start()
	t.Cleanup(server.Close)
	return server
}

// send returns the response to a request of path, whose body is closed with t.
func (f *front) send(t testing.TB, method, path string, body io.Reader, headers ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, f.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

// complete returns a response and its whole body.
func (f *front) complete(t testing.TB, method, path string, body io.Reader, headers ...string) (*http.Response,
	string) {
	t.Helper()
	res := f.send(t, method, path, body, headers...)
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return res, string(got)
}

// wantError fails t unless a response is an error of the relay.
func wantError(t testing.TB, res *http.Response, body string, status int, code string) {
	t.Helper()
	var answer struct {
		Error struct{ Message, Type, Code string }
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Error.Type != "relay_error" ||
		answer.Error.Message == "" ||
		res.StatusCode != status || answer.Error.Code != code || res.Header.Get("X-Relay-Error") != code {
		t.Errorf("got %d %v %s, want %d %s", res.StatusCode, res.Header, body, status, code)
	}
}

// resetting is the transport of clients that go by a reset: of an orderly close
// the runtime learns when it writes.
var resetting = &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	return conn, err
}}

// abort breaks the connection off that w writes to.
func abort() { panic(http.ErrAbortHandler) }

// flush sends what was written to w.
func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }
