package core

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// records returns the record lines of a log.
func records(t *testing.T, log string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(log) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		all = append(all, fields)
	}
	return all
}

func TestRecord(t *testing.T) {
	f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		ok(w, req)
	}, func(cfg *Config) { cfg.Region = "eu-test-1" })
	send(t, "POST", f.URL+"/v1/chat/completions?secret="+canaryKey, `{"prompt":"x"}`, "Authorization",
		"Bearer "+canaryKey)
	waitForLog(t, f, "duration_ms")
	got := records(t, f.log.String())[0]
	allowed := []string{
		"time", "level", "msg", "request_id", "method", "route", "status", "bytes_in", "bytes_out",
		"first_byte_ms", "duration_ms", "region", "attempts", "error",
	}
	for name := range got {
		if !slices.Contains(allowed, name) {
			t.Errorf("the record has %s", name)
		}
	}
	for name, want := range map[string]any{
		"level": "INFO", "msg": "request", "method": "POST", "route": "chat", "status": 200.0, "bytes_in": 14.0,
		"bytes_out": 11.0,
		"region":    "eu-test-1", "attempts": 1.0,
	} {
		if got[name] != want {
			t.Errorf("%s = %v, want %v", name, got[name], want)
		}
	}
	if first, all := got["first_byte_ms"].(float64), got["duration_ms"].(float64); first <= 0 || all < first {
		t.Errorf("first_byte_ms %v, duration_ms %v", first, all)
	}
}

// What the API refuses or fails is logged at warn, beside what the relay could not
// serve.
func TestLevels(t *testing.T) {
	for status, want := range map[int]string{200: "INFO", 302: "INFO", 401: "INFO", 404: "INFO", 429: "WARN",
		500: "WARN", 503: "WARN"} {
		f := newFront(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }, nil)
		send(t, "GET", f.URL+"/v1/models", "")
		waitForLog(t, f, "duration_ms")
		if got := records(t, f.log.String())[0]; got["level"] != want || got["error"] != nil {
			t.Errorf("%d: level %v, error %v, want %s and no error", status, got["level"], got["error"], want)
		}
	}
}

// A sample of what succeeds is logged, with its size, and all that fails.
func TestSample(t *testing.T) {
	const requests = 200
	f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
		if req.Method == "POST" {
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}, func(cfg *Config) { cfg.LogSample = 4 })
	for range requests {
		send(t, "GET", f.URL+"/v1/models", "")
		send(t, "POST", f.URL+"/v1/chat/completions", "{}")
	}
	synced := func() int { return strings.Count(f.log.String(), `"level":"WARN"`) }
	for deadline := time.Now().Add(10 * time.Second); synced() < requests && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	info, warn := 0, 0
	for _, line := range records(t, f.log.String()) {
		switch {
		case line["level"] == "INFO" && line["sample"] == 4.0:
			info++
		case line["level"] == "WARN" && line["sample"] == nil:
			warn++
		default:
			t.Errorf("line %v", line)
		}
	}
	// 50 are expected; fewer than 10 or more than 110 come once in 10^12 runs.
	if warn != requests || info < 10 || info > 110 {
		t.Errorf("%d lines at warn, %d at info, want %d and about %d", warn, info, requests, requests/4)
	}
}

func TestRouteClasses(t *testing.T) {
	for path, want := range map[string]string{
		"/v1/chat/completions": "chat", "/v1/responses/resp_123/input_items": "responses", "/v1/models": "models",
		"/v1/" + canaryKey: "other", "/dashboard/billing/usage": "dashboard", "/relay/health": "health", "/": "page",
		"/t/" + canaryToken + "/v1/files/x": "files", "/x": "other", "": "other", "/v1/": "other",
	} {
		if got := routeClass(path); got != want {
			t.Errorf("routeClass(%q) = %q, want %q", path, got, want)
		}
	}
}

// A family of the API that is not known is logged by its name once the API has taken it;
// what may be an id or a secret never is.
func TestUnknownFamilies(t *testing.T) {
	for _, test := range []struct {
		path   string
		status int
		want   string
	}{
		{"/v1/live/sessions", 200, "live"},
		{"/v1/translation_jobs", 204, "translation_jobs"},
		{"/openai/v1/live", 201, "live"},
		{"/v1/live/sessions", 404, "other"},
		{"/v1/hunter", 401, "other"}, // perhaps a secret
		{"/v1/live/sessions", 302, "other"},
		{"/v1/sk-canary", 200, "other"},
		{"/v1/asst_abc123", 200, "other"},
		{"/v1/canaryCANARY", 200, "other"},
		{"/v1/a" + strings.Repeat("b", maxFamily), 200, "other"},
		{"/v1/_live", 200, "other"},
		{"/v1/l%69ve1", 200, "other"},
		{"/v1/models/live", 200, "models"},
	} {
		f := newFront(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(test.status) },
			func(cfg *Config) {
				cfg.Paths = []string{"/v1/", "/openai/"}
			})
		send(t, "GET", f.URL+test.path, "")
		waitForLog(t, f, "duration_ms")
		if !strings.Contains(f.log.String(), `"route":"`+test.want+`"`) {
			t.Errorf("%s, %d: want route %q in %s", test.path, test.status, test.want, f.log.String())
		}
	}
}

// Whatever goes wrong, no key or token gets into the log, an error body or a
// header of the response.
func TestNoSecretGetsOut(t *testing.T) {
	faults := map[string]string{
		"ok": "", "echoing header": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "closed": "-",
		"bad header": "HTTP/1.1 200 OK\r\nX: " + canaryKey + "\x00\r\n\r\n", "cut": eventHead + chunk(event),
		"not HTTP": canaryKey + "\r\n\r\n",
	}
	for name, raw := range faults {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
				switch raw {
				case "":
					ok(w, req)
				case "-":
					panic(http.ErrAbortHandler)
				default:
					hijack(t, w, raw).Close()
				}
			}, func(cfg *Config) { cfg.AccessTokens, cfg.PathTokens = []Secret{canaryToken}, true })
			requests := []string{
				"GET /v1/models?key=" + canaryKey + " HTTP/1.1\r\nX-Relay-Token: " + canaryToken + "\r\n",
				"POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer rt_" + canaryToken + "." + canaryKey +
					"\r\n",
				"GET /t/" + canaryToken + "/v1/models HTTP/1.1\r\nAuthorization: Bearer " + canaryKey + "\r\n",
				"GET /t/" + canaryToken + "/../" + canaryKey + " HTTP/1.1\r\n",
				"GET /" + canaryKey + " HTTP/1.1\r\n",
				canaryKey + " /v1/models HTTP/1.1\r\n",
				"GET /v1/models HTTP/1.1\r\nAuthorization: Bearer " + canaryKey + "\r\nX-Relay-Token: " + canaryToken +
					"x\r\n",
				"GET /v1/realtime HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Relay-Token: " +
					canaryToken +
					"\r\nSec-WebSocket-Protocol: realtime, openai-insecure-api-key." + canaryKey + "\r\n",
				"OPTIONS /v1/models HTTP/1.1\r\nOrigin: https://a\r\nAccess-Control-Request-Method: POST\r\n" +
					"Authorization: Bearer " + canaryKey + "\r\n",
			}
			for _, request := range requests {
				conn := dialRaw(t, f.URL)
				_, _ = io.WriteString(conn, request+"Host: h\r\nConnection: close\r\n\r\n")
				_ = conn.CloseWrite()
				answer, _ := io.ReadAll(conn)
				if strings.Contains(string(answer), "CANARY") || strings.Contains(string(answer), canaryToken) {
					t.Errorf("request %q: answer %q", request, answer)
				}
			}
			if log := f.log.String(); strings.Contains(log, "CANARY") || strings.Contains(log, canaryToken) {
				t.Errorf("log:\n%s", log)
			}
		})
	}
}

func TestLogSaysWhyThereIsNoConnection(t *testing.T) {
	f := newFront(t, ok, nil)
	f.upstream.Close()
	send(t, "GET", f.URL+"/v1/models?q="+canaryKey, "", "Authorization", "Bearer "+canaryKey)
	waitForLog(t, f, "connection refused")
	lines := records(t, f.log.String())
	if lines[0]["attempts"] != 1.0 || lines[0]["error"] != "upstream_connect" ||
		lines[1]["request_id"] != lines[0]["request_id"] || strings.Contains(f.log.String(), canaryKey) {
		t.Errorf("log:\n%s", f.log.String())
	}
}

func TestStrayBytesAreNotLogged(t *testing.T) {
	var b bytes.Buffer
	l := log.New(stdlogFilter{&b}, "", 0)
	l.Printf("Unsolicited response received on idle HTTP channel starting with %q; err=<nil>", canaryKey)
	l.Print("something else")
	if got := b.String(); strings.Contains(got, canaryKey) || !strings.Contains(got, "stray bytes") ||
		!strings.Contains(got, "something else") {
		t.Errorf("logged %q", got)
	}
}

func TestPanicsBecomeErrors(t *testing.T) {
	var begun bool
	f := newFront(t, ok, func(cfg *Config) {
		cfg.Transport = roundTripFunc(func(*http.Request) (*http.Response, error) {
			if !begun {
				panic(canaryKey)
			}
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(panicReader{})}, nil
		})
	})
	res, body := send(t, "GET", f.URL+"/v1/models", "")
	wantError(t, res, body, ErrInternal)
	begun = true
	res = do(t, newRequest(t, "GET", f.URL+"/v1/models", ""))
	if body, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("after a panic in the middle, the response looks complete: %q", body)
	}
	waitForLog(t, f, "relay_internal_error")
	if log := f.log.String(); strings.Contains(log, canaryKey) || !strings.Contains(log, "TestPanicsBecomeErrors") {
		t.Errorf("log has the panic's value, or no stack:\n%s", log)
	}
}

type panicReader struct{}

func (panicReader) Read([]byte) (int, error) { panic(canaryKey) }
