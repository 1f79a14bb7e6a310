package gcf

import (
	"bufio"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"example.com/relay/internal/contract"
	"example.com/relay/internal/fakeopenai"
)

const (
	key        = "sk-CANARY"
	chatBody   = `{"model":"m","messages":[{"role":"user","content":"hello"}]}`
	streamBody = `{"model":"m","stream":true,"messages":[{"role":"user","content":"hello"}]}`
)

func TestFunctionIsAnAdapter(t *testing.T) {
	t.Parallel()
	contract.TestAdapter(t, func(t *testing.T, environ []string) string {
		return startFunction(t, environ...).base
	}, contract.As("Google Cloud Functions"))
}

// post returns a request for a chat.
func post(t *testing.T, base, body, fault string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", base+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Fake-Fault", fault)
	return req
}

// send returns the response to req; its body is closed when the test ends.
func send(t *testing.T, req *http.Request) *http.Response {
	t.Helper()
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

// fetch returns the response to req and its body.
func fetch(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	res := send(t, req)
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// stream begins a streamed chat and returns what follows its first line.
func stream(t *testing.T, base, fault string) io.Reader {
	t.Helper()
	r := bufio.NewReader(send(t, post(t, base, streamBody, fault)).Body)
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return r
}

// Headers that the platform adds to a request do not reach the upstream.
func TestPlatformHeadersStay(t *testing.T) {
	t.Parallel()
	u := fakeopenai.StartUpstream(t)
	p := startFunction(t, "RELAY_UPSTREAMS="+u.URL)
	req := post(t, p.base, chatBody, "")
	platform := []string{
		"X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "Via", "Traceparent", "X-Cloud-Trace-Context",
		"Function-Execution-Id",
		"X-Appengine-Country", "X-Serverless-Authorization",
	}
	for _, name := range platform {
		req.Header.Set(name, "leak")
	}
	if res, body := fetch(t, req); res.StatusCode != http.StatusOK {
		t.Fatalf("got %d %s", res.StatusCode, body)
	}
	for _, name := range platform {
		if got := u.Last().Header.Get(name); got != "" {
			t.Errorf("upstream got %s: %q", name, got)
		}
	}
}

// The framework's mux redirects to the clean path before the function is
// called. The redirect leads to the same host, so clients keep the key, and is a
// 307, so they keep the body.
func TestUncleanPaths(t *testing.T) {
	t.Parallel()
	u := fakeopenai.StartUpstream(t)
	p := startFunction(t, "RELAY_UPSTREAMS="+u.URL)
	for _, path := range []string{
		"//v1/chat/completions", "/v1//chat/completions", "/v1/./chat/completions", "/v1/x/../chat/completions",
		"/..//v1/chat/completions",
	} {
		u.Reset()
		req := post(t, p.base, chatBody, "")
		req.URL.Path, req.URL.RawQuery = path, "a=%zz;b&&"
		res := send(t, req)
		if got := res.Header.Get("Location"); res.StatusCode != http.StatusTemporaryRedirect ||
			got != "/v1/chat/completions?a=%zz;b&&" {
			t.Errorf("%s: got %d to %q", path, res.StatusCode, got)
		}
		if n := u.Arrived(); n != 0 {
			t.Errorf("%s: the upstream saw %d requests before the redirect was followed", path, n)
		}
		req = post(t, p.base, chatBody, "")
		req.URL.Path = path
		followed, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		followed.Body.Close()
		if last := u.Last(); followed.StatusCode != http.StatusOK ||
			last.Header.Get("Authorization") != "Bearer "+key || string(last.Body) != chatBody {
			t.Errorf("%s, followed: got %d, upstream saw %q", path, followed.StatusCode, last.Body)
		}
	}
	// What the mux lets through, the relay refuses.
	req := post(t, p.base, chatBody, "")
	req.URL = &url.URL{Scheme: "http", Host: req.URL.Host, Path: "/v1/../chat", RawPath: "/v1/%2e%2e/chat"}
	if res, body := fetch(t, req); res.StatusCode != http.StatusBadRequest ||
		!strings.Contains(body, "invalid_target") {
		t.Errorf("encoded dots: got %d %s", res.StatusCode, body)
	}
}

// A response ends before the platform's timeout.
func TestDeadline(t *testing.T) {
	t.Parallel()
	u := fakeopenai.StartUpstream(t)
	p := startFunction(t, "RELAY_UPSTREAMS="+u.URL, "CLOUD_RUN_TIMEOUT_SECONDS=3")
	start := time.Now()
	body, err := io.ReadAll(stream(t, p.base, "silence=2"))
	if err == nil || !strings.Contains(string(body), `"code":"relay_deadline"`) {
		t.Errorf("got %q, %v; want the error event and a truncated stream", body, err)
	}
	if took := time.Since(start); took >= 3*time.Second {
		t.Errorf("the response took %v", took)
	}
	if res, body := fetch(t, post(t, p.base, chatBody, "hang")); res.StatusCode != http.StatusGatewayTimeout ||
		!strings.Contains(body, `"code":"relay_deadline"`) {
		t.Errorf("before the header: got %d %s", res.StatusCode, body)
	}
}

// A body over the platform's limit is refused before it is sent.
func TestBodyLimit(t *testing.T) {
	t.Parallel()
	p := startFunction(t)
	req := post(t, p.base, "", "")
	r, w := io.Pipe()
	defer w.Close()
	req.Body, req.ContentLength = r, 32<<20+1
	if res, body := fetch(t, req); res.StatusCode != http.StatusRequestEntityTooLarge ||
		!strings.Contains(body, "Google Cloud Functions") {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
}

// With bad settings the function returns relay_misconfigured, and its log names
// them.
func TestBadSettings(t *testing.T) {
	t.Parallel()
	p := startFunction(t, "RELAY_NONSENSE=1", "RELAY_API_KEY="+key)
	if res, body := fetch(t, post(t, p.base, chatBody, "")); res.StatusCode != http.StatusInternalServerError ||
		!strings.Contains(body, "relay_misconfigured") {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
	if out := p.output.String(); !strings.Contains(out, "RELAY_NONSENSE") || strings.Contains(out, key) {
		t.Errorf("log:\n%s", out)
	}
}

// Streams in flight when the platform ends the process are finished.
func TestTermination(t *testing.T) {
	t.Parallel()
	u := fakeopenai.StartUpstream(t)
	p := startFunction(t, "RELAY_UPSTREAMS="+u.URL)
	r := stream(t, p.base, "gap=50ms")
	p.terminate(t)
	body, err := io.ReadAll(r)
	if err != nil || !strings.HasSuffix(string(body), "data: [DONE]\n\n") {
		t.Errorf("the stream got %q, %v", body, err)
	}
	if code := p.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestTerminationOfEndlessStreams(t *testing.T) {
	t.Parallel()
	u := fakeopenai.StartUpstream(t)
	p := startFunction(t, "RELAY_UPSTREAMS="+u.URL)
	r := stream(t, p.base, "silence=2")
	terminated := time.Now()
	p.terminate(t)
	body, err := io.ReadAll(r)
	if err == nil || !strings.Contains(string(body), `"code":"relay_shutdown"`) {
		t.Errorf("the stream got %q, %v; want the error event and a truncated stream", body, err)
	}
	if code := p.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(terminated); took >= 10*time.Second {
		t.Errorf("the process ended after %v, want less than the 10 s until SIGKILL", took)
	}
}
