package contract

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"example.com/relay/internal/fakeopenai"
)

// TestBridge tests an adapter's bridge from its platform to a handler, where
// TestAdapter cannot: with handlers that panic, abort, or write nothing. serve
// serves h as the adapter would and returns its URL.
func TestBridge(t *testing.T, serve func(t *testing.T, h http.Handler) string, options ...Option) {
	a := &adapter{lacking: make(map[Ability]string)}
	for _, option := range options {
		option(a)
	}
	aborting := a.can(Aborting)
	base := serve(t, http.HandlerFunc(bridged))
	get := func(t *testing.T, path string) (int, string, error) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "POST", base+path, strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return 0, "", err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return res.StatusCode, string(body), err
	}
	complete := []struct {
		path   string
		status int
		body   string
	}{
		{"/nothing", 200, ""}, {"/204", 204, ""}, {"/304", 304, ""},
		{"/early-hints", 200, "final"}, {"/echo", 200, "body"},
		{"/large", 200, string(fakeopenai.Pattern(1 << 20))}, {"/length", 200, "five5"},
	}
	for _, test := range complete {
		t.Run(test.path, func(t *testing.T) {
			status, body, err := get(t, test.path)
			if status != test.status || body != test.body || err != nil {
				t.Errorf("got %d, %d bytes, %v; want %d, %d bytes", status, len(body), err, test.status, len(test.body))
			}
		})
	}
	for _, path := range []string{"/panic", "/abort", "/panic-late", "/abort-late"} {
		t.Run(path, func(t *testing.T) {
			status, body, err := get(t, path)
			if err == nil && status < 500 && (aborting || !strings.HasSuffix(path, "-late")) {
				t.Errorf("got %d %q, which looks complete", status, body)
			}
			if strings.Contains(body, "secret") {
				t.Errorf("the response holds the panic's value: %q", body)
			}
			if status, body, err := get(t, "/echo"); status != 200 || body != "body" || err != nil {
				t.Errorf("the next request: %d %q %v", status, body, err)
			}
		})
	}
}

// bridged is the handler behind the bridge.
func bridged(w http.ResponseWriter, req *http.Request) {
	rc := http.NewResponseController(w)
	switch req.URL.Path {
	case "/204":
		w.WriteHeader(http.StatusNoContent)
	case "/304":
		w.WriteHeader(http.StatusNotModified)
	case "/early-hints":
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "final")
	case "/echo":
		_, _ = io.Copy(w, req.Body)
	case "/large":
		_, _ = io.Copy(w, bytes.NewReader(fakeopenai.Pattern(1<<20)))
	case "/length":
		w.Header().Set("Content-Length", "5")
		_, _ = io.WriteString(w, "five5")
	case "/panic":
		panic("secret")
	case "/abort":
		panic(http.ErrAbortHandler)
	case "/panic-late", "/abort-late":
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = rc.Flush()
		if req.URL.Path == "/panic-late" {
			panic("secret")
		}
		panic(http.ErrAbortHandler)
	}
}
