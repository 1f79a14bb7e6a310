package cloudflare

import (
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"testing"
)

// A sight is what one upstream saw, in raw form.
type sight struct {
	mu   sync.Mutex
	text string
}

// through returns h, which notes what it gets.
func (s *sight) through(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		dump, _ := httputil.DumpRequest(req, false)
		s.mu.Lock()
		s.text += string(dump)
		s.mu.Unlock()
		h(w, req)
	}
}

func (s *sight) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text
}

// refuses responds with a JSON error of the API.
func refuses(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"error":{"message":"m","type":"t","param":null,"code":"`+code+`"}}`)
	}
}

// Each upstream gets its own key and no other, over HTTP and WebSockets, and what a
// client shows goes nowhere. An account without credit sends a request on, if that is
// allowed.
func TestKeysOfUpstreams(t *testing.T) {
	const token, keyA, keyB, client = "access-token-3c2b", "sk-CANARY-a-1111", "sk-CANARY-b-2222",
		"sk-CANARY-client-3333"
	for _, test := range []struct {
		name  string
		a     http.HandlerFunc
		quota string
		by    string
	}{
		{"unavailable", refuses(503, "overloaded"), "false", "b"},
		{"no credit", refuses(429, "insufficient_quota"), "true", "b"},
		{"no credit, off", refuses(429, "insufficient_quota"), "false", "a"},
		{"rate limit", refuses(429, "rate_limit_exceeded"), "true", "a"},
		{"up", func(w http.ResponseWriter, req *http.Request) { _, _ = io.Copy(w, req.Body) }, "true", "a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var a, b sight
			first := startUpstream(t, a.through(test.a))
			f := newFront(t, b.through(func(w http.ResponseWriter, req *http.Request) {
				if req.Header.Get("Upgrade") != "" {
					accept(w, req, "realtime")
					return
				}
				_, _ = io.Copy(w, req.Body)
			}), `RELAY_UPSTREAMS=[{"url":"`+first.URL+`","name":"a","api_key":"`+keyA+`"},`+
				`{"url":"{upstream}/openai/v1","name":"b","api_key":"`+keyB+`"}]`,
				`RELAY_ACCESS_TOKENS=["`+token+`",{"name":"bob","token":"restricted-77ab","upstreams":["b"]}]`,
				"RELAY_RETRY_QUOTA="+test.quota)
			_, health := f.complete(t, "GET", "/relay/health?deep=1", nil)
			if !strings.Contains(health, `"holds_key":true`) || strings.Contains(a.String(), "CANARY") {
				t.Errorf("health %s, and a saw\n%s", health, a.String())
			}
			_, all := f.complete(t, "GET", "/relay/health", nil, "X-Relay-Token", token)
			_, own := f.complete(t, "GET", "/relay/health", nil, "X-Relay-Token", "restricted-77ab")
			if !strings.Contains(all, `"name":"a"`) || strings.Contains(own, `"name":"a"`) ||
				!strings.Contains(own, `"upstreams":[{"name":"b"`) {
				t.Errorf("health says %s, and for a token that names b %s", all, own)
			}
			for _, headers := range [][]string{
				{"Authorization", "Bearer rt_" + token + "." + client, "Openai-Organization", "org-CANARY"},
				{"X-Relay-Token", token, "X-Api-Key", client},
			} {
				res, body := f.complete(t, "POST", "/v1/chat/completions", strings.NewReader("{}"), headers...)
				if by := res.Header.Get("X-Relay-Upstream"); by != test.by {
					t.Errorf("%d by %q, want %q: %s", res.StatusCode, by, test.by, body)
				}
			}
			_, res := f.dial(t, "/v1/realtime",
				"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.rt_restricted-77ab."+
					client+", openai-project.CANARY")
			if res.StatusCode != http.StatusSwitchingProtocols {
				t.Errorf("WebSocket: %d", res.StatusCode)
			}
			if seen := b.String(); !strings.Contains(seen, "GET /openai/v1/realtime") ||
				!strings.Contains(seen, "Authorization: Bearer "+keyB) ||
				strings.Contains(strings.ReplaceAll(seen, keyB, ""), "CANARY") {
				t.Errorf("b saw\n%s", seen)
			}
			if seen := a.String(); !strings.Contains(seen, "Authorization: Bearer "+keyA) ||
				strings.Contains(strings.ReplaceAll(seen, keyA, ""), "CANARY") {
				t.Errorf("a saw\n%s", seen)
			}
			if strings.Contains(f.Log()+health, "CANARY") {
				t.Errorf("a key in the log or in health:\n%s%s", f.Log(), health)
			}
		})
	}
}
