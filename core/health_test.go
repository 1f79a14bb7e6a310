package core

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/relay/core/protocol"
	"example.com/relay/internal/proc"
)

func TestHealth(t *testing.T) {
	f := newFront(t, ok, func(cfg *Config) {
		cfg.Name, cfg.Region, cfg.AccessTokens, cfg.APIKey = "paris", "eu-west-3", []Secret{canaryToken}, canaryKey
	})
	res, body := send(t, "GET", f.URL+"/relay/health", "")
	want := fmt.Sprintf(`{"status":"ok","name":"paris","version":%q,"region":"eu-west-3","platform":"server",`+
		`"token_required":true,"holds_key":true,"max_body_bytes":33554432,"websocket":true}`+"\n", Version)
	if res.StatusCode != 200 || body != want {
		t.Errorf("got %d %s, want %s", res.StatusCode, body, want)
	}
	if res.Header.Get("X-Relay") != "paris; origin=relay" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("header %v", res.Header)
	}
	if res, body := send(t, "HEAD", f.URL+"/relay/health", ""); res.StatusCode != 200 || body != "" {
		t.Errorf("HEAD: %d %q", res.StatusCode, body)
	}
	res, body = send(t, "POST", f.URL+"/relay/health", "")
	wantError(t, res, body, errMethod)
	f.untouched(t)
}

func TestDeepHealth(t *testing.T) {
	closed := "http://" + proc.RefusingAddr(t)
	tests := []struct {
		name   string
		status int
		body   string
		want   int
		code   string
	}{
		{"401 as OpenAI", 401, `{"error":{"code":null}}`, 200, ""},
		{"200", 200, `{}`, 200, ""},
		{"429", 429, `{}`, 200, ""},
		{"region refused", 403, `{"error":{"code":"unsupported_country_region_territory","type":"request_forbidden"}}`,
			503, "unsupported_country_region_territory"},
		{"blocked", 403, `<html>`, 503, "upstream_unexpected_status"},
		{"500", 500, ``, 503, "upstream_unexpected_status"},
		{"refused connection", 0, ``, 503, "upstream_connect"},
		{"reset", -1, ``, 503, "upstream_reset"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
				if test.status < 0 {
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}, func(cfg *Config) {
				if test.status == 0 {
					cfg.Upstreams = []Secret{Secret(closed)}
				}
				cfg.AccessTokens, cfg.APIKey = []Secret{canaryToken}, canaryKey
			})
			for range 3 { // the result is kept
				res, body := send(t, "GET", f.URL+"/relay/health?deep=1", "")
				var report protocol.Health
				if err := json.Unmarshal([]byte(body), &report); err != nil || report.Upstream == nil {
					t.Fatalf("%d %s", res.StatusCode, body)
				}
				if res.StatusCode != test.want || report.Upstream.Code != test.code ||
					report.Upstream.OK != (test.code == "") || (report.Status == "ok") != (test.code == "") {
					t.Errorf("got %d %s, want %d %q", res.StatusCode, body, test.want, test.code)
				}
			}
			if test.status != 0 {
				if seen := f.only(t); seen.RequestURI != "/v1/models" || seen.Header.Get("Authorization") != "" {
					t.Errorf("upstream saw %s with Authorization %q", seen.RequestURI, seen.Header.Get("Authorization"))
				}
			}
		})
	}
}

func TestDeepHealthIsAskedAgainLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		relay, err := New(Config{Transport: roundTripFunc(func(*http.Request) (*http.Response, error) {
			asked.Add(1)
			return &http.Response{StatusCode: 401, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}"))},
				nil
		}), LogLevel: levelOff})
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []int32{1, 1, 2} {
			relay.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/relay/health?deep=1", nil))
			if got := asked.Load(); got != want {
				t.Errorf("request %d: asked %d times, want %d", i+1, got, want)
			}
			time.Sleep(deepCacheTime/2 + time.Second)
		}
	})
}

func TestStreamProbe(t *testing.T) {
	f := newFront(t, ok, nil)
	res := do(t, newRequest(t, "GET", f.URL+"/relay/health?stream=1", ""))
	if got := res.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("Content-Type = %q", got)
	}
	var events []string
	for scan := bufio.NewScanner(res.Body); scan.Scan(); {
		if scan.Text() != "" {
			events = append(events, scan.Text())
		}
	}
	if len(events) != streamEvents+1 || events[streamEvents] != "data: [DONE]" ||
		!strings.HasPrefix(events[0], `data: {"event":1,"of":5,"at_ms":`) {
		t.Errorf("events %q", events)
	}
	f.untouched(t)
}

func TestMisconfigured(t *testing.T) {
	r := FromEnv([]string{"RELAY_API_KEY=" + canaryKey, "RELAY_NONSENSE=" + canaryToken},
		Platform{Name: "AWS Lambda", Serverless: true})
	for _, path := range []string{"/v1/chat/completions", "/relay/health", "/"} {
		rec := httptest.NewRecorder()
		req := httptest.NewRequest("POST", path, strings.NewReader("{}"))
		req.Header.Set("Origin", "https://a.example")
		r.ServeHTTP(rec, req)
		wantError(t, rec.Result(), rec.Body.String(), errMisconfigured)
		if strings.Contains(rec.Body.String(), "CANARY") || rec.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %v %s", path, rec.Header(), rec.Body)
		}
	}
}

// Everyone who asks while a check is under way gets its result, even if the
// upstream never responds.
func TestDeepHealthOfASilentUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		relay, err := New(Config{LogLevel: levelOff,
			Transport: roundTripFunc(func(req *http.Request) (*http.Response, error) {
				asked.Add(1)
				<-req.Context().Done()
				return nil, req.Context().Err()
			})})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var wait sync.WaitGroup
		for range 10 {
			wait.Go(func() {
				rec := httptest.NewRecorder()
				relay.ServeHTTP(rec, httptest.NewRequest("GET", "/relay/health?deep=1", nil))
				if rec.Code != 503 || !strings.Contains(rec.Body.String(), `"code":"upstream_timeout"`) {
					t.Errorf("got %d %s", rec.Code, rec.Body)
				}
			})
		}
		wait.Wait()
		if took := time.Since(start); took != deepTimeout || asked.Load() != 1 {
			t.Errorf("answered after %v, asked %d times; want %v, 1", took, asked.Load(), deepTimeout)
		}
	})
}
