package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/lambdaemu"
	"example.com/relay/internal/proc"
)

// An extension is a fake of AWS's Parameters and Secrets extension.
type extension struct {
	port string

	mu       sync.Mutex // guards the following fields
	status   int
	body     string
	requests int
}

func startExtension(t *testing.T, status int, body string) *extension {
	t.Helper()
	e := &extension{status: status, body: body}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	_, e.port, _ = net.SplitHostPort(server.Listener.Addr().String())
	return e
}

func (e *extension) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.requests++
	if req.URL.Path != "/secretsmanager/get" || req.URL.Query().Get("secretId") != "relay/openai" ||
		req.Header.Get("X-Aws-Parameters-Secrets-Token") != "session" {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	w.WriteHeader(e.status)
	fmt.Fprint(w, e.body)
}

func (e *extension) respond(status int, body string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status, e.body = status, body
}

// count returns the number of requests so far.
func (e *extension) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.requests
}

func (e *extension) environ() []string {
	return []string{
		"RELAY_API_KEY_SECRET=relay/openai", "RELAY_ACCESS_TOKENS=token", "AWS_SESSION_TOKEN=session",
		"PARAMETERS_SECRETS_EXTENSION_HTTP_PORT=" + e.port,
	}
}

// postChat posts a chat with an access token and no key.
func postChat(t *testing.T, base string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", base+"/v1/chat/completions",
		strings.NewReader(`{"model":"m","messages":[{"role":"user","content":"hello"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer rt_token")
	recorder := &strings.Builder{}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := res.Write(recorder); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, recorder.String()
}

// The key comes from the secret, and is read once.
func TestKeyFromSecret(t *testing.T) {
	u := fakeopenai.StartUpstream(t)
	e := startExtension(t, http.StatusOK, `{"Name":"relay/openai","SecretString":"sk-CANARY\n"}`)
	s := serveFunction(t, append(e.environ(), "RELAY_UPSTREAMS="+u.URL),
		func(f *lambdaemu.Function) { f.Concurrency = 1 })
	for range 3 {
		if status, body := postChat(t, s.URL); status != http.StatusOK {
			t.Fatalf("got %d %s", status, body)
		}
	}
	for _, req := range u.Requests() {
		if got := req.Header.Get("Authorization"); got != "Bearer sk-CANARY" {
			t.Errorf("the upstream got Authorization %q", got)
		}
	}
	if n := e.count(); n != 1 {
		t.Errorf("the secret was read %d times", n)
	}
	if logs := s.Logs(); strings.Contains(logs, "CANARY") {
		t.Errorf("the log shows the key:\n%s", logs)
	}
}

// Without a key nothing is relayed, and the log has the reason.
func TestUnreadableSecretFailsClosed(t *testing.T) {
	u := fakeopenai.StartUpstream(t)
	e := startExtension(t, 0, "")
	tests := []struct {
		name   string
		status int
		body   string
		log    string
	}{
		{"not allowed", 400, `AccessDeniedException: CANARY`, "may the function's role read it"},
		{"JSON", 200, `{"SecretString":"{\"key\":\"sk-CANARY\"}"}`, "store the API key alone"},
		{"binary", 200, `{"SecretBinary":"CANARY"}`, "the secret is empty"},
		{"not JSON", 200, `<CANARY>`, "did not return JSON"},
		{"no key", 200, `{"SecretString":"sk-CANARY with spaces"}`, "RELAY_API_KEY"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e.respond(test.status, test.body)
			s := serveFunction(t, append(e.environ(), "RELAY_UPSTREAMS="+u.URL), nil)
			if status, body := postChat(t, s.URL); status != http.StatusInternalServerError ||
				!strings.Contains(body, `"relay_misconfigured"`) {
				t.Errorf("got %d %s", status, body)
			}
			if logs := s.Logs(); !strings.Contains(logs, test.log) || strings.Contains(logs, "CANARY") {
				t.Errorf("log:\n%s", logs)
			}
		})
	}
	if n := len(u.Requests()); n > 0 {
		t.Errorf("%d requests were relayed, want none", n)
	}
}

// The extension may start later than the function, and the secret may become
// readable.
func TestSecretIsReadAgain(t *testing.T) {
	e := startExtension(t, http.StatusBadRequest, "not ready to serve traffic, please wait")
	now := time.Now()
	r := newSecretRelay(append(e.environ(), "RELAY_LOG_LEVEL=off"), "relay/openai")
	r.now = func() time.Time { return now }
	time.AfterFunc(50*time.Millisecond, func() { e.respond(http.StatusOK, `{"SecretString":"sk-1"}`) })
	first := r.current(t.Context())
	if r.key != "sk-1" {
		t.Fatal("the relay did not wait for an extension that is slow to start")
	}
	e.respond(http.StatusOK, `{"SecretString":"sk-2"}`)
	if now = now.Add(keyMaxAge - time.Second); r.current(t.Context()) != first {
		t.Error("the key was read again too early")
	}
	now = now.Add(2 * time.Second)
	second := r.current(t.Context())
	if r.key != "sk-2" || second == first {
		t.Error("a new key is not used")
	}
	if now = now.Add(keyMaxAge); r.current(t.Context()) != second {
		t.Error("the same key led to a new relay, which loses the connections")
	}
	e.respond(http.StatusBadRequest, "gone")
	if now = now.Add(keyMaxAge); r.current(t.Context()) == second || r.key != "" {
		t.Error("the old key is still used although the secret cannot be read")
	}
	before := e.count()
	if r.current(t.Context()); e.count() != before {
		t.Error("the secret was read again within retryInterval")
	}
	e.respond(http.StatusOK, `{"SecretString":"sk-3"}`)
	if now = now.Add(retryInterval); r.current(t.Context()) == nil || r.key != "sk-3" {
		t.Error("a secret that became readable was not read")
	}
}

// Without the extension there is no key, so the relay refuses.
func TestNoExtension(t *testing.T) {
	e := startExtension(t, http.StatusOK, "")
	_, e.port, _ = net.SplitHostPort(proc.RefusingAddr(t))
	w := httptest.NewRecorder()
	r := newSecretRelay(append(e.environ(), "RELAY_LOG_LEVEL=off"), "relay/openai")
	r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/v1/models", nil))
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "relay_misconfigured") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}
