package core

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/relay/core/protocol"
)

// A witness is what observes a relay's requests.
type witness struct {
	mu  sync.Mutex
	all []Request
}

func (o *witness) observe(r Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, r)
}

// await returns what was observed, once there are n requests.
func (o *witness) await(t *testing.T, n int) []Request {
	t.Helper()
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		o.mu.Lock()
		all := o.all
		o.mu.Unlock()
		if len(all) >= n {
			return all
		}
		if time.Since(start) > 10*time.Second {
			t.Fatalf("%d requests were observed, want %d", len(all), n)
		}
	}
}

// Each request is observed once, however it ends and whatever is logged.
func TestObserve(t *testing.T) {
	for _, test := range []struct {
		name, method, path string
		answer             http.HandlerFunc
		want               Request // without times and bytes
	}{
		{"a response", "POST", "/v1/chat/completions", ok, Request{Route: "chat", Status: 200, Attempts: 1}},
		{"an error of the API", "GET", "/v1/models",
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) },
			Request{Route: "models", Status: 429, Attempts: 1}},
		{"a refusal", "GET", "/x", ok, Request{Route: "other", Status: 404, Error: "unknown_path"}},
		{"a family that is not known", "GET", "/v1/" + canaryKey, ok,
			Request{Route: "other", Status: 200, Attempts: 1}},
		{"nothing", "GET", "/v1/models", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			Request{Route: "models", Status: 502, Error: "upstream_reset", Attempts: 1}},
		{"a cut stream", "POST", "/v1/responses", func(w http.ResponseWriter, _ *http.Request) {
			hijack(t, w, eventHead+chunk(event)).Close()
		}, Request{Route: "responses", Status: 200, Error: "upstream_interrupted", Attempts: 1, Cut: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var o witness
			f := newFront(t, test.answer,
				func(cfg *Config) { cfg.Observe, cfg.Logger = o.observe, nil; cfg.LogLevel = levelOff })
			if res, err := http.DefaultTransport.RoundTrip(newRequest(t, test.method, f.URL+test.path,
				"")); err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
			got := o.await(t, 1)[0]
			if got.FirstByte <= 0 || got.Duration < got.FirstByte {
				t.Errorf("first byte after %v, end after %v", got.FirstByte, got.Duration)
			}
			got.FirstByte, got.Duration, got.BytesIn, got.BytesOut = 0, 0, 0, 0
			if got != test.want {
				t.Errorf("observed %+v, want %+v", got, test.want)
			}
			if err := f.relay.Shutdown(t.Context()); err != nil || f.relay.InFlight() != 0 {
				t.Errorf("%d requests are in flight, %v", f.relay.InFlight(), err)
			}
		})
	}
}

// A stream that another upstream continued is observed so.
func TestObserveResumedStream(t *testing.T) {
	event := func(i int, kind string) string {
		return fmt.Sprintf("data: {\"type\":\"response.%s\",\"sequence_number\":%d,"+
			"\"response\":{\"id\":\"resp_1\"}}\n\n", kind, i)
	}
	region := func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set(protocol.Marker, "relay; origin=upstream")
		w.Header().Set("Content-Type", "text/event-stream")
		if req.Method == http.MethodPost {
			_, _ = io.WriteString(w, event(0, "created"))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, event(1, "completed"))
	}
	var o witness
	other := newFront(t, region, nil).upstream.URL
	f := newFront(t, region, func(cfg *Config) {
		cfg.Upstreams = append(cfg.Upstreams, Secret(other))
		cfg.ResumeResponses, cfg.ProbeInterval, cfg.Observe = true, -1, o.observe
	})
	res, err := http.Post(f.URL+"/v1/responses", "application/json",
		strings.NewReader(`{"background":true,"stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != event(0, "created")+event(1, "completed") {
		t.Fatalf("the stream is %q, %v", body, err)
	}
	if got := o.await(t, 1)[0]; got.Resumed != 1 || got.Cut || got.Status != 200 || got.Error != "" {
		t.Errorf("observed %+v, want one that was resumed once", got)
	}
	if n := len(f.relay.Upstreams()); n != 2 {
		t.Errorf("there are %d upstreams, want 2", n)
	}
}

// A request of a named token is observed by that name; one that is refused has none
// unless its token was found valid.
func TestObserveNamesTheToken(t *testing.T) {
	var o witness
	f := newFront(t, ok, func(cfg *Config) {
		cfg.Observe = o.observe
		cfg.NamedTokens = []NamedToken{{Name: "alice", Token: canaryToken, Paths: []string{"/v1/models/"}}}
	})
	for i, test := range []struct{ path, token, want string }{
		{"/v1/models", canaryToken, "alice"},
		{"/v1/files", canaryToken, "alice"}, // token_not_allowed
		{"/v1/models", "another", ""},
	} {
		res, _ := send(t, "GET", f.URL+test.path, "", "X-Relay-Token", test.token)
		if got := o.await(t, i+1)[i]; got.Token != test.want || got.Status != res.StatusCode {
			t.Errorf("%s with %s: observed %+v, want token %q", test.path, test.token, got, test.want)
		}
	}
}
