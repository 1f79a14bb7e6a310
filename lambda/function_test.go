package main

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/relay/internal/build"
	"example.com/relay/internal/contract"
	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/lambdaemu"
	"example.com/relay/internal/proc"
)

// bootstrap is the deployed binary, apart from its architecture.
var bootstrap = proc.NewProgram("bootstrap", build.Lambda.BuildHere)

func TestMain(m *testing.M) { os.Exit(proc.Main(m, bootstrap)) }

// serveFunction serves the function with environ, after change, if not nil, has
// changed how.
func serveFunction(t *testing.T, environ []string, change func(*lambdaemu.Function)) *lambdaemu.Server {
	t.Helper()
	f := lambdaemu.Function{
		Bootstrap: bootstrap.Path(t), Mode: lambdaemu.ResponseStream, Env: map[string]string{"RELAY_LOG_LEVEL": "off"},
	}
	if change != nil {
		change(&f)
	}
	f.Env["RELAY_LAMBDA_INVOKE_MODE"] = string(f.Mode)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		f.Env[name] = value
	}
	return lambdaemu.Start(t, f)
}

var (
	noWebSocket = contract.Without(contract.WebSocket, "Lambda has no upgraded connections")
	buffering   = contract.Without(contract.Streaming, "responses are buffered")
	parsedQuery = contract.Without(contract.Query, "REST APIs and ALBs deliver parsed queries, without their order")
	small       = contract.Without(contract.LargeBodies, "ALBs take events of up to 1 MB")
	noCanceling = contract.Without(contract.Canceling,
		"Lambda does not tell the function that its client has disconnected")
)

func TestFunctionIsAnAdapter(t *testing.T) {
	tests := []struct {
		name    string
		change  func(*lambdaemu.Function)
		options []contract.Option
	}{
		{"function URL, RESPONSE_STREAM", nil, []contract.Option{contract.As("AWS Lambda, RESPONSE_STREAM")}},
		{"function URL, RESPONSE_STREAM, cuts look clean", func(f *lambdaemu.Function) { f.Cut = lambdaemu.CutClean },
			[]contract.Option{
				contract.Without(contract.Aborting, "AWS may end a broken stream cleanly"),
			}},
		{"REST API, STREAM", func(f *lambdaemu.Function) { f.Front = lambdaemu.RESTAPI },
			[]contract.Option{parsedQuery}},
		{"REST API, buffered", func(f *lambdaemu.Function) { f.Front, f.Mode = lambdaemu.RESTAPI, lambdaemu.Buffered },
			[]contract.Option{parsedQuery, buffering}},
		{"HTTP API", func(f *lambdaemu.Function) { f.Front, f.Mode = lambdaemu.HTTPAPI, lambdaemu.Buffered },
			[]contract.Option{buffering}},
		{"ALB", func(f *lambdaemu.Function) { f.Front, f.Mode = lambdaemu.ALB, lambdaemu.Buffered },
			[]contract.Option{parsedQuery, buffering, small}},
		{"ALB, multi-value",
			func(f *lambdaemu.Function) { f.Front, f.Mode = lambdaemu.ALBMultiValue, lambdaemu.Buffered },
			[]contract.Option{parsedQuery, buffering, small}},
		{"function URL, BUFFERED", func(f *lambdaemu.Function) { f.Mode = lambdaemu.Buffered },
			[]contract.Option{buffering, contract.As("AWS Lambda, BUFFERED")}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			contract.TestAdapter(t, func(t *testing.T, environ []string) string {
				return serveFunction(t, environ, test.change).URL
			}, append(test.options, noWebSocket, noCanceling)...)
		})
	}
}

// chat posts a small chat to the function.
func chat(t *testing.T, base, fault string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", base+"/v1/chat/completions",
		strings.NewReader(`{"model":"m","messages":[{"role":"user","content":"hello"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sk-test")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Fake-Fault", fault)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// The function's build has no HTTP/2. It speaks HTTP/1.1 to an upstream that
// supports both.
func TestUpstreamsSpeakHTTP1(t *testing.T) {
	u := httptest.NewUnstartedServer(
		http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { io.WriteString(w, req.Proto) }))
	u.EnableHTTP2 = true
	u.StartTLS()
	t.Cleanup(u.Close)
	roots := filepath.Join(t.TempDir(), "roots.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: u.Certificate().Raw})
	if err := os.WriteFile(roots, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	s := serveFunction(t, []string{"RELAY_UPSTREAMS=" + u.URL, "SSL_CERT_FILE=" + roots}, nil)
	for range 2 {
		if res, body := chat(t, s.URL, ""); res.StatusCode != http.StatusOK || body != "HTTP/1.1" {
			t.Errorf("got %d by %s, want 200 by HTTP/1.1", res.StatusCode, body)
		}
	}
}

// Between invocations the process is frozen, and the upstream closes its
// connections. No POST may fail because of that.
func TestFreezes(t *testing.T) {
	u := fakeopenai.StartUpstream(t)
	s := serveFunction(t, []string{"RELAY_UPSTREAMS=" + u.URL},
		func(f *lambdaemu.Function) { f.Freeze, f.Concurrency = true, 1 })
	for i := range 60 {
		res, body := chat(t, s.URL, "")
		if res.StatusCode != http.StatusOK {
			t.Fatalf("after %d freezes: %d %s", i, res.StatusCode, body)
		}
		u.Server.CloseClientConnections()
	}
	if stats := s.Stats(); stats.Spawned != 1 {
		t.Errorf("%d processes served, want 1: the function does not survive", stats.Spawned)
	}
}

// The same with several upstreams of which the first is down.
func TestFreezesBetweenSeveralUpstreams(t *testing.T) {
	dead, u := "http://"+proc.RefusingAddr(t), fakeopenai.StartUpstream(t)
	s := serveFunction(t, []string{"RELAY_UPSTREAMS=" + dead + "#dead," + u.URL + "#alive"},
		func(f *lambdaemu.Function) { f.Freeze, f.Concurrency = true, 1 })
	const requests = 30
	for i := range requests {
		res, body := chat(t, s.URL, "")
		if res.StatusCode != http.StatusOK || res.Header.Get("X-Relay-Upstream") != "alive" {
			t.Fatalf("after %d freezes: %d by %q %s", i, res.StatusCode, res.Header.Get("X-Relay-Upstream"), body)
		}
		if got := res.Header.Get("X-Relay-Attempts"); i == 3 && got != "1" {
			t.Errorf("after three strikes: %s attempts, want 1", got)
		}
		u.Server.CloseClientConnections()
	}
	if stats := s.Stats(); stats.Spawned != 1 || u.Arrived() != requests {
		t.Errorf("%d processes served and the upstream got %d requests, want 1 and %d",
			stats.Spawned, u.Arrived(), requests)
	}
}

// The response ends before the platform's timeout, as a response that the platform
// kills may look complete.
func TestDeadline(t *testing.T) {
	u := fakeopenai.StartUpstream(t)
	s := serveFunction(t, []string{"RELAY_UPSTREAMS=" + u.URL},
		func(f *lambdaemu.Function) { f.Timeout = 2500 * time.Millisecond })
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/v1/chat/completions",
		strings.NewReader(`{"stream":true,"messages":[{"role":"user","content":"x"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sk-test")
	req.Header.Set("Fake-Fault", "silence=2")
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil || !strings.Contains(string(body), `"code":"relay_deadline"`) {
		t.Errorf("got %q, %v; want the error event and a truncated stream", body, err)
	}
	res, text := chat(t, s.URL, "hang")
	if res.StatusCode != http.StatusGatewayTimeout || !strings.Contains(text, `"code":"relay_deadline"`) {
		t.Errorf("before the header: got %d %s", res.StatusCode, text)
	}
	if res, text := chat(t, s.URL, ""); res.StatusCode != http.StatusOK {
		t.Errorf("the next request: %d %s", res.StatusCode, text)
	}
	if stats := s.Stats(); stats.TimedOut != 0 || stats.Crashed != 0 || stats.Spawned != 1 {
		t.Errorf("the process did not survive: %+v", stats)
	}
}

// Truncated JSON becomes a 502, as does a response over the limit of buffered ones;
// neither ends the process.
func TestBufferedResponses(t *testing.T) {
	u := fakeopenai.StartUpstream(t)
	for _, mode := range []lambdaemu.Mode{lambdaemu.ResponseStream, lambdaemu.Buffered} {
		s := serveFunction(t, []string{"RELAY_UPSTREAMS=" + u.URL},
			func(f *lambdaemu.Function) { f.Mode, f.Cut = mode, lambdaemu.CutClean })
		for _, fault := range []string{"short-cl", "cut=2", "reset=2", "no-last-chunk"} {
			if res, body := chat(t, s.URL, fault); res.StatusCode != http.StatusBadGateway ||
				!strings.Contains(body, "upstream_interrupted") {
				t.Errorf("%s, %s: got %d %s", mode, fault, res.StatusCode, body)
			}
		}
		res, body := chat(t, s.URL, "bytes=7000000")
		streamed := mode == lambdaemu.ResponseStream
		if streamed != (res.StatusCode == http.StatusOK && len(body) > 7_000_000) ||
			!streamed && !strings.Contains(body, "response_too_large") {
			t.Errorf("%s: 7 MB: got %d, %d bytes: %.200s", mode, res.StatusCode, len(body), body)
		}
		if res, body := chat(t, s.URL, ""); res.StatusCode != http.StatusOK {
			t.Errorf("%s: the next request: %d %s", mode, res.StatusCode, body)
		}
		if stats := s.Stats(); stats.Crashed != 0 || stats.Spawned != 1 {
			t.Errorf("%s: the process did not survive: %+v", mode, stats)
		}
	}
}

// With bad settings the function returns relay_misconfigured, and its log names
// them.
func TestBadSettings(t *testing.T) {
	s := serveFunction(t, []string{"RELAY_NONSENSE=1", "RELAY_API_KEY=sk-CANARY"}, nil)
	if res, body := chat(t, s.URL, ""); res.StatusCode != http.StatusInternalServerError ||
		!strings.Contains(body, "relay_misconfigured") {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
	if logs := s.Logs(); !strings.Contains(logs, "RELAY_NONSENSE") || strings.Contains(logs, "CANARY") {
		t.Errorf("log:\n%s", logs)
	}
}
