package cloudflare

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"example.com/relay/core"
	"example.com/relay/internal/workerd"
)

// Bad settings, and those that the platform cannot keep, are answered and logged,
// all at once and without the values.
func TestBadSettings(t *testing.T) {
	bad := map[string]string{
		"RELAY_UPSTREAMS": "http://CANARY.example", "RELAY_POLICY": "latency", "RELAY_UPSTREAM_HTTP": "1.1",
		"RELAY_RESEND_AMBIGUOUS": "CANARY",
		"RELAY_RESUME_RESPONSES": "true", "RELAY_LOG_USAGE": "true",
		"RELAY_PROBE_INTERVAL": "10s", "RELAY_ACCESS_TOKENS": "CANARY one,two", "RELAY_API_KEY": "sk CANARY",
		"RELAY_API_KEY_SECRET": "CANARY",
		"RELAY_PATH_TOKENS":    "CANARY", "RELAY_ALLOWED_ORIGINS": "https://CANARY.example/",
		"RELAY_ALLOWED_HOSTS": "CANARY:80", "RELAY_PATHS": "CANARY",
		"RELAY_PAGE": "CANARY", "RELAY_MAX_BODY_BYTES": "CANARY", "RELAY_MAX_IN_FLIGHT": "10",
		"RELAY_IDLE_TIMEOUT":    "CANARY",
		"RELAY_MAX_STREAM_TIME": "-1s", "RELAY_KEEPALIVE": "10ms", "RELAY_BODY_TIMEOUT": "60s",
		"RELAY_WRITE_TIMEOUT": "30s", "RELAY_NAME": "CANARY x",
		"RELAY_ALLOW_PRIVATE_HTTP": "true", "RELAY_ALLOW_ANYONE": "CANARY", "RELAY_DRAIN_TIMEOUT": "5s",
		"RELAY_IDLE_CONNECTION_TIMEOUT": "3m",
		"RELAY_REGION":                  "CANARY\n", "RELAY_LOG_LEVEL": "CANARY",
		"RELAY_LAMBDA_INVOKE_MODE": "BUFFERED",
		"RELAY_CANARY":             "x",
	}
	bad["RELAY_REGION"] = "CANARY\x01"
	for _, s := range core.Settings() {
		if _, ok := bad[s.Name]; !ok {
			t.Logf("%s: not tested for bad values", s.Name)
		}
	}
	var environ []string
	for name, value := range bad {
		environ = append(environ, name+"="+value)
	}
	f := &front{Tested: serve(t, "worker.js", workerd.DefaultDate, environ...)}
	for _, path := range []string{"/v1/models", "/relay/health", "/"} {
		res, body := f.complete(t, "GET", path, nil, "Origin", "https://chat.example")
		wantError(t, res, body, 500, "relay_misconfigured")
		if res.Header.Get("X-Should-Retry") != "false" || res.Header.Get("Access-Control-Allow-Origin") != "*" ||
			strings.Contains(body, "CANARY") {
			t.Errorf("%v %s", res.Header, body)
		}
	}
	if res, _ := f.complete(t, "OPTIONS", "/v1/models", nil, "Origin", "https://chat.example",
		"Access-Control-Request-Method", "POST"); res.StatusCode != 204 {
		t.Errorf("preflight: %d", res.StatusCode)
	}
	log := f.Log()
	if strings.Count(log, `"misconfigured"`) != 1 ||
		strings.Contains(strings.ReplaceAll(log, "RELAY_CANARY", ""), "CANARY") {
		t.Errorf("want one line, without the values: %s", log)
	}
	for name := range bad {
		if !strings.Contains(log, name+": ") {
			t.Errorf("the log does not name %s", name)
		}
	}
}

// What would let anyone spend what the relay holds is refused, and so are quotes.
func TestSettingsThatAreRefusedTogether(t *testing.T) {
	for _, environ := range [][]string{
		{"RELAY_API_KEY=sk-held"},
		{"RELAY_UPSTREAMS=https://rt_token@relay.example"},
		{"RELAY_UPSTREAMS=https://relay.example,https://relay.example/v1"},
		{`RELAY_ACCESS_TOKENS="quoted"`},
		{"RELAY_UPSTREAMS=https://rt_token@api.openai.com", "RELAY_ACCESS_TOKENS=t"},
		{"RELAY_ALLOWED_ORIGINS=https://a.example:443"},
		{"RELAY_ALLOWED_ORIGINS=https://*.example"},
		{"RELAY_ALLOWED_ORIGINS=https://A.example"},
		{"RELAY_ALLOWED_ORIGINS=https://a.example/"},
		{"RELAY_ALLOWED_ORIGINS=https://[0:0::1]"},
		{"RELAY_ALLOWED_ORIGINS=https://127.1"},
		{"RELAY_ALLOWED_HOSTS=a.example:443"},
		{"RELAY_ALLOWED_HOSTS=abc:80"},
		{"RELAY_ALLOWED_HOSTS=*.example"},
		{"RELAY_ALLOWED_HOSTS=https://a.example"},
		{"RELAY_ALLOWED_HOSTS=a.example,*"},
		{"RELAY_ALLOWED_HOSTS=300.1.1.1"},
		{"RELAY_UPSTREAMS=https://api.openai.com/v1/chat/completions"},
		{"RELAY_UPSTREAMS=https://x.example/openai/deployments/d/chat/completions/"},
		{"RELAY_UPSTREAMS=http://ollama:11434"},
		{"RELAY_UPSTREAMS=http://10.0.0.1", "RELAY_ALLOW_PRIVATE_HTTP=true"},
		{"RELAY_PATHS=/v1%2fx/"},
		{`RELAY_ACCESS_TOKENS=one,"two",three`},
		{`RELAY_NAME='relay`},
		{"RELAY_ACCESS_TOKENS=SHA256:" + strings.Repeat("ab", 32)},
		{"RELAY_ALLOWED_ORIGINS=*,https://a.example"},
	} {
		f := &front{Tested: serve(t, "worker.js", workerd.DefaultDate, environ...)}
		res, body := f.complete(t, "GET", "/v1/models", nil)
		if res.StatusCode != 500 {
			t.Errorf("%q:", environ)
		}
		wantError(t, res, body, 500, "relay_misconfigured")
	}
}

// Every good value that core takes, the Worker takes, if the platform can keep it.
func TestGoodSettings(t *testing.T) {
	good := []string{
		"RELAY_POLICY=order", "RELAY_UPSTREAM_HTTP=auto", "RELAY_RESEND_AMBIGUOUS=1", "RELAY_RESUME_RESPONSES=false",
		"RELAY_LOG_USAGE=false", "RELAY_PROBE_INTERVAL=off",
		"RELAY_MAX_IN_FLIGHT=off",
		"RELAY_ACCESS_TOKENS= a , rt_b,sha256:" + strings.Repeat("ab", 32), "RELAY_API_KEY=sk-x",
		"RELAY_PATH_TOKENS=true", "RELAY_PAGE=off",
		"RELAY_ALLOWED_ORIGINS=https://a.example,http://localhost:3000,null,chrome-extension://abc," +
			"https://[::1]:3000,http://127.0.0.1:5173,app://obsidian.md",
		"RELAY_ALLOWED_HOSTS=127.0.0.1,A.example,[::1],2001:DB8::1,b.example.",
		"RELAY_PATHS=/v1/,/openai/", "RELAY_ALLOW_PRIVATE_HTTP=false", "RELAY_ALLOW_ANYONE=true",
		"RELAY_DRAIN_TIMEOUT=off",
		"RELAY_IDLE_CONNECTION_TIMEOUT=off", "RELAY_MAX_BODY_BYTES=1000", "RELAY_IDLE_TIMEOUT=1m30s",
		"RELAY_MAX_STREAM_TIME=1h", "RELAY_KEEPALIVE=15s",
		"RELAY_BODY_TIMEOUT=off", "RELAY_WRITE_TIMEOUT=0", "RELAY_NAME=edge-1", "RELAY_REGION=Frankfurt 1",
		"RELAY_LOG_LEVEL=debug",
		"RELAY_UPSTREAMS=https://api.openai.com/v1,https://rt_token@relay.example/base#name," +
			"http://localhost:1,http://127.0.0.1:1,http://[::1]:1", "OTHER=x",
	}
	if _, err := core.ParseEnv(good); err != nil {
		t.Fatalf("core: %v", err)
	}
	f := &front{Tested: serve(t, "_worker.js", "2024-09-23", good...)}
	res, body := f.complete(t, "GET", "/relay/health", nil, "X-Relay-Token", "a")
	var health struct {
		Status, Name, Version, Region, Platform string
		TokenRequired                           bool `json:"token_required"`
		HoldsKey                                bool `json:"holds_key"`
		MaxBodyBytes                            int  `json:"max_body_bytes"`
		WebSocket                               bool
		Upstreams                               []struct{ Name, State string }
	}
	if err := json.Unmarshal([]byte(body), &health); err != nil || res.StatusCode != 200 {
		t.Fatalf("%d %s %v\n%s", res.StatusCode, body, err, f.Log())
	}
	if h := health; h.Name != "edge-1" || h.Version != core.Version || h.Region != "Frankfurt 1" ||
		h.Platform != "Cloudflare Workers" || !h.TokenRequired || !h.HoldsKey ||
		h.MaxBodyBytes != 1000 || !h.WebSocket || len(h.Upstreams) != 5 || h.Upstreams[1].Name != "name" ||
		h.Upstreams[1].State != "up" {
		t.Errorf("health %s", body)
	}
	if _, body := f.complete(t, "GET", "/relay/health", nil); strings.Contains(body, "relay.example") {
		t.Errorf("health names the upstreams to everyone: %s", body)
	}
}

// A newcomer pastes the file into the editor, sets one variable, and runs the
// command that the page gives: all fetches of the Worker end at the fake API.
func TestPasted(t *testing.T) {
	var got atomic.Pointer[http.Request]
	upstream := startUpstream(t, func(w http.ResponseWriter, req *http.Request) {
		got.Store(req)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"object":"list","data":[]}`)
	})
	f := &front{Tested: workerd.Serve(t, workerd.Worker{Module: source,
		Internet: upstream.Listener.Addr().String(),
		Bindings: map[string]string{"RELAY_ACCESS_TOKENS": "my-own-token-123"}})}
	body := f.curl(t, "my-own-token-123")
	if want := `{"object":"list","data":[]}`; body != want {
		t.Fatalf("curl printed %q, want %q\n%s", body, want, f.Log())
	}
	req := got.Load()
	if req.Host != "api.openai.com" || req.RequestURI != "/v1/models" ||
		req.Header.Get("Authorization") != "Bearer sk-mine" {
		t.Errorf("the API got %s %s%s with %v", req.Method, req.Host, req.RequestURI, req.Header)
	}
	for name := range req.Header {
		if !slices.Contains([]string{"Accept", "Authorization", "User-Agent"}, name) {
			t.Errorf("the API got %s: %q, which curl did not send", name, req.Header[name])
		}
	}
	if body := f.curl(t, "not-my-token"); !strings.Contains(body, `"code":"invalid_access_token"`) {
		t.Errorf("with another token curl printed %q", body)
	}
	if _, body := f.complete(t, "GET", "/", nil); !strings.Contains(body, "/v1") {
		t.Errorf("the front page does not name the base URL: %s", body)
	}
}

// curl runs the command of docs/platforms/cloudflare.md with a token and returns
// what it prints.
func (f *front) curl(t *testing.T, token string) string {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl")
	}
	docs, err := os.ReadFile("../docs/platforms/cloudflare.md")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^curl https://NAME\.ACCOUNT\.workers\.dev/.*$`).FindString(string(docs))
	if line == "" {
		t.Fatal("the page has no command to try the Worker")
	}
	line = strings.NewReplacer("https://NAME.ACCOUNT.workers.dev", f.URL, "rt_TOKEN.", "rt_"+token+".").Replace(line)
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
	cmd.Env = append(os.Environ(), "OPENAI_API_KEY=sk-mine")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return string(out)
}

// What api.openai.com says itself is passed on, Cloudflare's own statuses too:
// it stands behind Cloudflare, so that they prove nothing.
func TestOfficialUpstream(t *testing.T) {
	upstream := startUpstream(t, func(w http.ResponseWriter, req *http.Request) {
		if hop := req.Header.Get("Relay-Hop"); hop != "" {
			t.Errorf("the API got Relay-Hop %q", hop)
		}
		w.WriteHeader(522)
	})
	f := &front{Tested: workerd.Serve(t, workerd.Worker{Module: source, Internet: upstream.Listener.Addr().String()})}
	res, _ := f.complete(t, "POST", "/v1/chat/completions", strings.NewReader("{}"))
	if res.StatusCode != 522 || res.Header.Get("X-Relay") != "relay; origin=upstream" {
		t.Errorf("%d %v, want the API's 522", res.StatusCode, res.Header)
	}
}

// A deep check says whether the API serves the region, and what to do if not.
func TestDeepCheck(t *testing.T) {
	tests := []struct {
		answer http.HandlerFunc
		status int
		want   string
	}{
		{func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, 200, `"ok":true`},
		{func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, 503,
			`"code":"upstream_unexpected_status"`},
		{func(http.ResponseWriter, *http.Request) { abort() }, 503, `"code":"upstream_reset"`},
		{func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(403)
			_, _ = w.Write([]byte(`{"error":{"message":"m","type":"t","code":"unsupported_country_region_territory"}}`))
		}, 503, "placement"},
	}
	for _, test := range tests {
		var asked atomic.Int64
		f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
			asked.Add(1)
			test.answer(w, req)
		})
		for range 3 { // the result is kept for a while
			if res, body := f.complete(t, "GET", "/relay/health?deep=1", nil); res.StatusCode != test.status ||
				!strings.Contains(body, test.want) {
				t.Errorf("%d %s, want %d %s", res.StatusCode, body, test.status, test.want)
			}
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("the upstream was asked %d times", n)
		}
	}
}
