package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.com/relay/internal/fakeopenai"
)

// What relay serve prints, logs, counts and responds holds no token, no beginning of a
// token's hash, and no key, whatever becomes of a request.
func TestServeLeaksNoToken(t *testing.T) {
	const plain, hashed, over, limited, held = "CANARY-plain-0123456789", "CANARY-hashed-0123456789",
		"CANARY-over-0123456789", "CANARY-limited-0123456789", "sk-CANARY-held"
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(hashed)))
	u := fakeopenai.StartUpstream(t)
	s, metrics := startMetrics(t, []string{"RELAY_UPSTREAMS=" + u.URL, "RELAY_API_KEY=" + held,
		"RELAY_PATH_TOKENS=true", "RELAY_LOG_LEVEL=debug", "RELAY_LOG_USAGE=true",
		`RELAY_ACCESS_TOKENS=["` + plain + `",` +
			`{"name":"alice","sha256":"` + sum +
			`","models":["gpt-*"],"paths":["/v1/chat/completions","/v1/models"]},` +
			`{"name":"bob","token":"` + over + `","expires":"2026-01-31T00:00:00Z"},` +
			`{"name":"carol","token":"` + limited + `","per_minute":1,"max_in_flight":1}]`})
	secrets := []string{"CANARY", sum[:8]}
	for _, token := range []string{plain, over, limited} {
		secrets = append(secrets, fmt.Sprintf("%x", sha256.Sum256([]byte(token)))[:8])
	}
	var shown strings.Builder
	ask := func(want int, method, path, token, body string) {
		t.Helper()
		req := newCall(t, method, s.base+path, "", body)
		req.Header.Set("Authorization", "Bearer rt_"+token+".sk-CANARY-client")
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		if res.StatusCode != want {
			t.Errorf("%s %s by %s: %d %s, want %d", method, path, token, res.StatusCode, text, want)
		}
		fmt.Fprintln(&shown, res.Header, string(text))
	}
	const chat = "/v1/chat/completions"
	ask(200, "POST", chat, hashed, `{"model":"gpt-fake","messages":[{"role":"user","content":"x"}]}`)
	ask(403, "POST", chat, hashed, `{"model":"CANARY","messages":[]}`)
	ask(403, "POST", chat, hashed, `{"model":"CANARY`)
	ask(403, "GET", "/v1/files/CANARY", hashed, "")
	ask(401, "GET", "/v1/models", over, "")
	ask(401, "GET", "/t/"+over+"/v1/models", "", "")
	ask(200, "GET", "/v1/models", limited, "")
	ask(429, "GET", "/v1/models", limited, "")
	ask(200, "GET", "/v1/models", plain, "")
	ask(400, "GET", "/v1/models/"+plain, plain, "")
	ask(401, "GET", "/v1/models", "CANARY-wrong", "")
	ask(401, "GET", "/v1/models", "sha256:"+sum, "")
	for _, token := range []string{plain, hashed, over, limited, "CANARY-wrong"} {
		ask(200, "GET", "/relay/health?deep=1", token, "")
	}
	ask(200, "GET", "/", plain, "")
	for start := time.Now(); strings.Count(s.stderr.String(), `"msg":"request"`) < 18 &&
		time.Since(start) < 10*time.Second; {
		time.Sleep(time.Millisecond)
	}
	samples := fmt.Sprint(scrape(t, metrics))
	if log := s.stderr.String(); !strings.Contains(log, `"token":"alice"`) ||
		!strings.Contains(samples, `token="carol"`) {
		t.Errorf("neither log nor metrics know names:\n%s\n%s", log, samples)
	}
	for what, text := range map[string]string{
		"standard output": s.stdout.String(), "log": s.stderr.String(), "metrics": samples, "responses": shown.String(),
	} {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s: %q is in\n%s", what, secret, text)
			}
		}
	}
}
