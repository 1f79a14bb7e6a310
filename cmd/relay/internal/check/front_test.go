package check

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/relay/core"
)

// Fronts: what is between a relay and its clients and breaks it.

// collected is a front that buffers responses.
func collected(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, req)
		for name, values := range rec.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(rec.Code)
		_, _ = io.Copy(w, bytes.NewReader(rec.Body.Bytes()))
	})
}

// streamed is a front that handles the stream probe itself, with h.
func streamed(h http.HandlerFunc) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.URL.RawQuery != "stream=1" {
				next.ServeHTTP(w, req)
				return
			}
			w.Header().Set("X-Relay", "relay; origin=relay")
			w.Header().Set("Content-Type", "text/event-stream")
			h(w, req)
		})
	}
}

// sendEvents sends the first n events of five.
func sendEvents(w http.ResponseWriter, n int) {
	for i := range n {
		_, _ = fmt.Fprintf(w, "data: {\"event\":%d,\"of\":5,\"at_ms\":%d}\n\n", i+1, 100*i)
	}
	_ = http.NewResponseController(w).Flush()
}

func TestStream(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		front func(http.Handler) http.Handler
		want  string
	}{
		{"collected", collected, "fail stream_buffered"},
		{"ended early", streamed(func(w http.ResponseWriter, req *http.Request) { sendEvents(w, 2) }),
			"fail stream_truncated"},
		{"without [DONE]", streamed(func(w http.ResponseWriter, req *http.Request) { sendEvents(w, 5) }),
			"fail stream_truncated"},
		{"empty", streamed(func(http.ResponseWriter, *http.Request) {}), "fail stream_truncated"},
		{"truncated", streamed(func(w http.ResponseWriter, req *http.Request) {
			sendEvents(w, 2)
			panic(http.ErrAbortHandler)
		}), "fail stream_truncated"},
		{"stalled", streamed(func(w http.ResponseWriter, req *http.Request) {
			sendEvents(w, 2)
			<-req.Context().Done()
		}), "fail stream_stalled"},
		{"not a stream", streamed(func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "application/json")
		}), "fail stream_missing"},
		{"a page", streamed(func(w http.ResponseWriter, req *http.Request) {
			w.Header().Del("X-Relay")
			w.WriteHeader(http.StatusBadGateway)
		}), "fail platform_crashed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			url := serveHandler(t, test.front(newRelay(t, openAI, nil)))
			c := runCheck(t, url, "-token", canaryToken, "-timeout", "2s")
			c.want(t, exitError, map[string]string{"relay": "ok", "stream": test.want, "cors": "ok"})
		})
	}
}

// The advice is for the platform that the relay runs on.
func TestBufferedLambda(t *testing.T) {
	t.Parallel()
	relay := newRelay(t, openAI, func(cfg *core.Config) { cfg.Platform.Name = "AWS Lambda" })
	c := runCheck(t, serveHandler(t, collected(relay)), "-token", canaryToken)
	c.want(t, exitError, map[string]string{"stream": "fail stream_buffered"})
	if !strings.Contains(c.stdout, "RELAY_LAMBDA_INVOKE_MODE") {
		t.Errorf("no advice for Lambda in\n%s", c.stdout)
	}
}

// changed is a front that changes the headers of responses.
func changed(change func(http.Header)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			next.ServeHTTP(&changingWriter{w, change}, req)
		})
	}
}

type changingWriter struct {
	http.ResponseWriter
	change func(http.Header)
}

func (w *changingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *changingWriter) WriteHeader(status int) {
	w.change(w.Header())
	w.ResponseWriter.WriteHeader(status)
}

// preflighted is a front that responds to preflights itself.
func preflighted(status int, headers ...string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodOptions {
				page(status, headers...)(w, req)
				return
			}
			next.ServeHTTP(w, req)
		})
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	const origin, headers = "Access-Control-Allow-Origin", "Access-Control-Allow-Headers"
	origins := func(list ...string) func(*core.Config) {
		return func(cfg *core.Config) { cfg.AllowedOrigins = list }
	}
	asIs := changed(func(http.Header) {})
	for _, test := range []struct {
		name   string
		front  func(http.Handler) http.Handler
		change func(*core.Config)
		want   string
	}{
		{"all origins", asIs, nil, "ok"},
		{"this origin", asIs, origins(corsOrigin), "ok"},
		{"other origins", asIs, origins("https://chat.example"), "warn cors_off"},
		{"off", asIs, origins("none"), "warn cors_off"},
		{"twice", changed(func(h http.Header) { h.Add(origin, "*") }), nil, "fail cors_duplicated"},
		{"twice in one", changed(func(h http.Header) { h.Set(origin, "*, *") }), nil, "fail cors_duplicated"},
		{"another origin", changed(func(h http.Header) { h.Set(origin, "https://chat.example") }), nil,
			"fail cors_origin"},
		{"headers not permitted", changed(func(h http.Header) { h.Set(headers, "*") }), nil, "fail cors_headers"},
		{"lost", changed(func(h http.Header) {
			if h.Get(headers) == "" {
				h.Del(origin)
			}
		}), nil, "fail cors_lost"},
		{"refused in front", preflighted(403), nil, "fail cors_platform"},
		{"a short list in front", preflighted(200, origin, "*", headers, "authorization, content-type"), nil,
			"fail cors_platform"},
		{"permitted in front", preflighted(200, origin, "*", headers, corsHeaders), nil, "warn cors_platform"},
		{"bad status", preflighted(403, "X-Relay", "relay", origin, "*", headers, corsHeaders), nil,
			"fail cors_status"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			exit := exitOK
			if strings.HasPrefix(test.want, "fail") {
				exit = exitError
			}
			url := serveHandler(t, test.front(newRelay(t, openAI, test.change)))
			examine(t, url, func(*doctor) {}).want(t, exit, map[string]string{"cors": test.want})
		})
	}
}

// bodies is a front that handles every POST itself, with h.
func bodies(h http.HandlerFunc) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodPost {
				h(w, req)
				return
			}
			next.ServeHTTP(w, req)
		})
	}
}

func TestBody(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		front  func(http.Handler) http.Handler
		want   string
		detail string
	}{
		{"relay", func(next http.Handler) http.Handler { return next }, "ok", "up to 4.5 MiB"},
		{"platform", bodies(page(413)), "warn body_platform", "4.5 MiB"},
		{"asks for it", bodies(func(w http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
		}), "skip body_untold", "reads bodies"},
		{"another response", bodies(page(400)), "skip body_untold", "400"},
		{"cut", bodies(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), "fail http_reset",
			"cut"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			exit := exitOK
			if strings.HasPrefix(test.want, "fail") {
				exit = exitError
			}
			var posts atomic.Int32
			relay := newRelay(t, func(w http.ResponseWriter, req *http.Request) {
				if req.Method == http.MethodPost {
					posts.Add(1)
				}
				openAI(w, req)
			}, func(cfg *core.Config) { cfg.MaxBodyBytes = 4608 << 10 })
			c := examine(t, serveHandler(t, test.front(relay)), func(*doctor) {})
			c.want(t, exit, map[string]string{"body": test.want})
			if detail := c.find(t, "body").Detail; !strings.Contains(detail, test.detail) || posts.Load() > 0 {
				t.Errorf("detail = %q, want %q in it; %d requests reached the API, want 0", detail, test.detail,
					posts.Load())
			}
		})
	}
}

// A server that waits for the body before it responds.
func TestBodyWithoutResponse(t *testing.T) {
	t.Parallel()
	end := make(chan struct{})
	url := serveHandler(t, bodies(func(http.ResponseWriter, *http.Request) { <-end })(newRelay(t, openAI, nil)))
	// The server cannot notice that a client left whose body it has not read.
	t.Cleanup(func() { close(end) })
	c := examine(t, url, func(d *doctor) { d.timeout = 500 * time.Millisecond })
	c.want(t, exitOK, map[string]string{"body": "skip body_untold"})
	if detail := c.find(t, "body").Detail; !strings.Contains(detail, "no response comes") {
		t.Errorf("detail = %q, want that there is no response", detail)
	}
}

func TestWebSocket(t *testing.T) {
	t.Parallel()
	relay := newRelay(t, openAI, func(cfg *core.Config) { cfg.Platform.NoWebSocket = true })
	c := examine(t, serveHandler(t, relay), func(*doctor) {})
	c.want(t, exitOK, map[string]string{"websocket": "ok"})
	if detail := c.find(t, "websocket").Detail; !strings.Contains(detail, "not on this platform") {
		t.Errorf("detail = %q, want that WebSockets are not supported", detail)
	}
}

func TestBytesText(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		1: "1 bytes", 1000: "1000 bytes", 64 << 10: "64 KiB", 32 << 20: "32 MiB", 4608 << 10: "4.5 MiB",
		6<<20 + 1: "6291457 bytes",
	} {
		if got := bytesText(n); got != want {
			t.Errorf("bytesText(%d) = %q, want %q", n, got, want)
		}
	}
}
