package cloudflare

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// Nothing that somebody sent gets into what the Worker writes, nor does what it
// holds: whatever goes wrong, there is a line from the allow-list and no more.
func TestLogHoldsNoSecrets(t *testing.T) {
	f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		switch req.URL.Path {
		case "/v1/cut-CANARY":
			begin(w)
			_, _ = io.WriteString(w, "data: CANARY\n\n")
			flush(w)
			abort()
		case "/v1/reset-CANARY":
			abort()
		}
		w.Header().Set("X-CANARY", "CANARY")
		_, _ = io.WriteString(w, "CANARY")
	}, "RELAY_ACCESS_TOKENS=CANARY-token", "RELAY_API_KEY=sk-CANARY")
	token := []string{"X-Relay-Token", "CANARY-token", "X-Custom", "CANARY"}
	send := func(method, path string, headers ...string) {
		res := f.send(t, method, path, strings.NewReader("CANARY"), headers...)
		_, _ = io.Copy(io.Discard, res.Body)
	}
	send("POST", "/v1/chat/completions?q=CANARY", token...)
	send("POST", "/v1/cut-CANARY", token...)
	send("POST", "/v1/reset-CANARY", token...)
	send("POST", "/v1/chat/completions", "X-Relay-Token", "CANARY-wrong")
	send("POST", "/v1/chat/completions?k=CANARY-token", token...)
	send("GET", "/CANARY", token...)
	send("PURGE", "/v1/CANARY/../x", token...)
	const lines = 7
	for range 100 {
		if strings.Count(f.Log(), `"msg":"request"`) == lines {
			break
		}
		time.Sleep(20 * time.Millisecond) // the runtime writes when it likes
	}
	text := f.Log()
	if strings.Contains(text, "CANARY") {
		t.Errorf("the log holds what was sent:\n%s", text)
	}
	allowed := []string{
		"time", "level", "msg", "request_id", "method", "route", "status", "bytes_in", "bytes_out", "first_byte_ms",
		"duration_ms", "region", "attempts", "upstream", "error",
	}
	var got []string
	for line := range strings.Lines(text) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) != nil || fields["msg"] != "request" {
			continue
		}
		for name := range maps.Keys(fields) {
			if !slices.Contains(allowed, name) {
				t.Errorf("the line has %s: %s", name, line)
			}
		}
		class, _ := fields["error"].(string)
		got = append(got, class)
	}
	slices.Sort(got)
	want := []string{"", "invalid_access_token", "method_not_allowed", "misplaced_access_token", "unknown_path",
		"upstream_interrupted", "upstream_reset"}
	if !slices.Equal(got, want) {
		t.Errorf("errors in the log: %q, want %q\n%s", got, want, text)
	}
}

// Nothing is logged below the level.
func TestLogLevel(t *testing.T) {
	f := newFront(t, func(http.ResponseWriter, *http.Request) {}, "RELAY_LOG_LEVEL=warn", "RELAY_ALLOW_ANYONE=true")
	f.complete(t, "GET", "/v1/models", nil)
	f.complete(t, "GET", "/nothing", nil)
	for range 100 {
		if strings.Contains(f.Log(), "unknown_path") {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if text := f.Log(); strings.Count(text, `"msg"`) != 1 || !strings.Contains(text, "unknown_path") {
		t.Errorf("log %s", text)
	}
}

// The log and the health check know a named token by its name.
func TestNamedTokensInTheLog(t *testing.T) {
	const alice, bob = "CANARY-alice-0123456789", "CANARY-bob-0123456789"
	f := newFront(t, func(http.ResponseWriter, *http.Request) {}, `RELAY_ACCESS_TOKENS=[`+
		`{"name":"alice","token":"`+alice+
		`","expires":"2999-12-31T23:59:59.5+01:00","paths":["/v1/models"],"methods":["GET"],"per_minute":60},`+
		`{"name":"bob","token":"`+bob+`","expires":"2026-01-31T00:00:00Z"}]`)
	f.complete(t, "GET", "/v1/models", nil, "X-Relay-Token", alice)
	f.complete(t, "GET", "/v1/files", nil, "X-Relay-Token", alice)
	f.complete(t, "GET", "/v1/models", nil, "X-Relay-Token", bob)
	f.complete(t, "GET", "/v1/models", nil, "X-Relay-Token", "alice")
	for token, want := range map[string]string{
		alice: `"token":{"name":"alice","expires":"2999-12-31T22:59:59Z","paths":["/v1/models"],"methods":["GET"],` +
			`"per_minute":60}`,
		bob: "", "alice": "",
	} {
		res, body := f.complete(t, "GET", "/relay/health", nil, "X-Relay-Token", token)
		if res.StatusCode != 200 || strings.Contains(body, `"token":`) != (want != "") ||
			!strings.Contains(body, want) {
			t.Errorf("token %s: health says %s, want %s", token, body, want)
		}
	}
	for range 100 {
		if strings.Count(f.Log(), `"msg":"request"`) == 7 {
			break
		}
		time.Sleep(20 * time.Millisecond) // the runtime writes when it likes
	}
	var got []string
	for line := range strings.Lines(f.Log()) {
		var fields struct{ Msg, Token, Error string }
		if json.Unmarshal([]byte(line), &fields) == nil && fields.Msg != "" {
			got = append(got, strings.TrimSpace(fields.Msg+" "+fields.Token+" "+fields.Error))
		}
	}
	slices.Sort(got)
	want := []string{"request", "request  invalid_access_token", "request alice", "request alice",
		"request alice token_not_allowed", "request bob", "request bob token_expired", "token bob"}
	if !slices.Equal(got, want) || strings.Contains(f.Log(), "CANARY") {
		t.Errorf("log %q, want %q\n%s", got, want, f.Log())
	}
}
