package gcf

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/relay/internal/contract"
)

// framework serves a function as the functions framework does: it turns every
// panic into an error page.
func framework(function func(http.ResponseWriter, *http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		defer func() {
			if recover() != nil {
				w.WriteHeader(http.StatusInternalServerError)
				_, _ = io.WriteString(w, "A panic occurred")
			}
		}()
		function(w, req)
	})
}

func TestBridge(t *testing.T) {
	contract.TestBridge(t, func(t *testing.T, h http.Handler) string {
		server := httptest.NewServer(framework(bridge(h)))
		t.Cleanup(server.Close)
		return server.URL
	})
}

func TestBridgeHandlesPanics(t *testing.T) {
	tests := []struct {
		name  string
		serve http.HandlerFunc
		want  int // the status; 0: a truncated response
	}{
		{"at once", func(http.ResponseWriter, *http.Request) { panic("secret") }, 500},
		{"after setting headers", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "7")
			w.Header().Set("X-Secret", "secret")
			panic("secret")
		}, 500},
		{"after early hints", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			panic("secret")
		}, 500},
		{"after the header was flushed", func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).Flush()
			panic("secret")
		}, 0},
		{"after a complete-looking status", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
			panic("secret")
		}, 0},
		{"of nothing", func(http.ResponseWriter, *http.Request) { panic(nil) }, 500},
		{"abort before the header", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(framework(bridge(test.serve)))
			defer server.Close()
			res, err := http.Get(server.URL)
			var body []byte
			if err == nil {
				defer res.Body.Close()
				body, err = io.ReadAll(res.Body)
			}
			if test.want == 0 {
				if err == nil {
					t.Errorf("got %d %q, want a truncated response", res.StatusCode, body)
				}
				return
			}
			if err != nil || res.StatusCode != test.want ||
				!strings.Contains(string(body), `"code":"relay_internal_error"`) {
				t.Fatalf("got %q, %v; want %d", body, err, test.want)
			}
			if res.Header.Get("X-Secret") != "" || strings.Contains(string(body), "secret") {
				t.Errorf("the response has the handler's data: %v %q", res.Header, body)
			}
		})
	}
}
