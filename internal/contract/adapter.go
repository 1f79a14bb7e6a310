// Package contract is the contract of the relay's adapters, whatever their
// platform: each adapter runs TestAdapter against the artifact that is deployed,
// and TestBridge against its own code. The results are a table in
// docs/platforms.md.
package contract

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/proc"
)

// An Ability is a part of the contract that a platform may lack.
type Ability string

// The abilities. Where one is lacking, its test checks what the adapter does
// instead.
const (
	Query         Ability = "query"         // query strings are forwarded unchanged
	LargeBodies   Ability = "large bodies"  // requests of 3 MiB are accepted
	Streaming     Ability = "streaming"     // bytes reach the client as they come
	Aborting      Ability = "aborting"      // a truncated response breaks the connection
	Canceling     Ability = "canceling"     // the upstream is cancelled when the client disconnects
	WebSocket     Ability = "websocket"     // connections can be upgraded
	Misconfigured Ability = "misconfigured" // with bad settings the adapter starts, and responds with an error
	Refusals      Ability = "refusals"      // a refused connection can be told from a broken one
)

// An Option changes what TestAdapter expects or records.
type Option func(*adapter)

// Without excepts the adapter from an ability. Users read the reason in the
// conformance table.
func Without(ability Ability, reason string) Option {
	return func(a *adapter) { a.lacking[ability] = reason }
}

// As sets the results' column in the conformance table; see conformance.go.
func As(column string) Option { return func(a *adapter) { a.column = column } }

// Unhurried delays the upstream's responses by 10 ms, for proxies that cut immediate
// ones: httputil.ReverseProxy closes a request's body with the response's header, and
// a transport that has not read to its end by then gives up.
func Unhurried() Option { return func(a *adapter) { a.delay = 10 * time.Millisecond } }

// Resetting makes clients disconnect with an RST, for platforms that do not notice
// a FIN before they write.
func Resetting() Option { return func(a *adapter) { a.resetting = true } }

// A contractCase is a row of the contract. If the platform lacks the ability, the
// test checks what remains of the promise, or skips.
type contractCase struct {
	name  string
	needs Ability // "": nothing
	test  func(*adapter, *testing.T)
}

var contract = []contractCase{
	{"query unchanged", Query, (*adapter).testQuery},
	{"body unchanged", LargeBodies, (*adapter).testBody},
	{"headers", "", (*adapter).testHeaders},
	{"1xx is not final", "", (*adapter).testInformational},
	{"responses without a body end", "", (*adapter).testEmpty},
	{"header before the first byte", Streaming, (*adapter).testHeaderFlush},
	{"each event at once", Streaming, (*adapter).testEvents},
	{"truncated looks truncated", Aborting, (*adapter).testBroken},
	{"after an abort the next request is fine", "", (*adapter).testAfterAbort},
	{"client disconnects", Canceling, (*adapter).testClientGone},
	{"errors", "", (*adapter).testErrors},
	{"preflight", "", (*adapter).testPreflight},
	{"page", "", (*adapter).testPage},
	{"websocket", WebSocket, (*adapter).testWebSocket},
	{"several upstreams", "", (*adapter).testSeveral},
	{"misconfigured", Misconfigured, (*adapter).testMisconfigured},
}

// TestAdapter tests that an adapter of the relay keeps the contract. serve starts
// one with the RELAY_* variables in environ, stops it with t.Cleanup, and returns
// its URL without "/v1".
func TestAdapter(t *testing.T, serve func(t *testing.T, environ []string) string, options ...Option) {
	a := &adapter{serve: serve, lacking: make(map[Ability]string)}
	for _, option := range options {
		option(a)
	}
	for ability, reason := range a.lacking {
		t.Logf("without %s: %s", ability, reason)
	}
	results := make(map[string]string, len(contract))
	for _, c := range contract {
		kept := t.Run(c.name, func(t *testing.T) { c.test(a, t) })
		results[c.name] = a.result(c, kept)
	}
	if a.column != "" && !t.Failed() {
		conform(t, a.column, results)
	}
}

const (
	testToken = "contract-token-5f0c"
	testKey   = "sk-contract-9a31"
)

type adapter struct {
	serve   func(t *testing.T, environ []string) string
	lacking map[Ability]string // and why
	column  string             // of the conformance table; "": none
	delay   time.Duration      // of the upstream's responses

	resetting bool // clients disconnect with an RST
}

func (a *adapter) can(ability Ability) bool {
	_, lacking := a.lacking[ability]
	return !lacking
}

// result returns a case's cell in the conformance table.
func (a *adapter) result(c contractCase, kept bool) string {
	switch reason, lacking := a.lacking[c.needs]; {
	case !kept:
		return "broken"
	case lacking:
		return "no: " + reason
	}
	return "yes"
}

// start starts an adapter that requires a token, and returns its upstream and URL.
func (a *adapter) start(t *testing.T) (*fakeopenai.Upstream, string) {
	t.Helper()
	u := fakeopenai.StartUpstream(t)
	u.Delay = a.delay
	base := a.serve(t, []string{"RELAY_UPSTREAMS=" + u.URL, "RELAY_ACCESS_TOKENS=" + testToken})
	return u, strings.TrimSuffix(base, "/")
}

// request returns a request with a token, a key and a fault for the upstream.
func request(t *testing.T, method, url, body, fault string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer rt_"+testToken+"."+testKey)
	req.Header.Set("Content-Type", "application/json")
	if fault != "" {
		req.Header.Set("Fake-Fault", fault)
	}
	return req
}

const (
	chatBody   = `{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hello"}]}`
	streamBody = `{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"hello"}]}`
)

// roundTrip sends req and returns the response, whose body is closed when the test
// ends.
func roundTrip(t *testing.T, req *http.Request) *http.Response {
	t.Helper()
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

// complete returns the response to req and its whole body.
func complete(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	res := roundTrip(t, req)
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("reading the response: %v", err)
	}
	return res, string(body)
}

func (a *adapter) testQuery(t *testing.T) {
	if !a.can(Query) {
		t.Skip("the platform parses queries")
	}
	u, base := a.start(t)
	for _, target := range []string{
		"/v1/models?a=1&b=%20x+y&a=2", "/v1/models?q=%zz;x=1&&", "/v1/models?redirect=https://a.example/%2e%2e//b",
		"/v1/models",
	} {
		req := request(t, "GET", base+"/v1/models", "", "")
		path, query, _ := strings.Cut(target, "?")
		req.URL.Path, req.URL.RawQuery = path, query
		if res, body := complete(t, req); res.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", target, res.StatusCode, body)
		}
		if got := u.Last().RequestURI; got != target {
			t.Errorf("upstream saw %s, want %s", got, target)
		}
	}
}

func (a *adapter) testBody(t *testing.T) {
	u, base := a.start(t)
	sizes := []int{1, 100_000}
	if a.can(LargeBodies) {
		sizes = append(sizes, 3<<20)
	}
	for _, size := range sizes {
		for _, chunked := range []bool{false, true} {
			sent := fakeopenai.Pattern(size)
			req := request(t, "POST", base+"/v1/files", "", "")
			req.Header.Set("Content-Type", "application/octet-stream")
			req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(sent)), int64(size)
			if chunked {
				req.ContentLength = -1
			}
			complete(t, req)
			if got := u.Last(); !bytes.Equal(got.Body, sent) || got.BodyErr != nil {
				t.Errorf("upstream saw %d bytes, %v; want the %d that were sent (chunked %t)",
					len(got.Body), got.BodyErr, size, chunked)
			}
		}
	}
	const speech = `{"model":"tts-1","voice":"alloy","input":"hello"}`
	res, body := complete(t, request(t, "POST", base+"/v1/audio/speech", speech, "bytes=300000"))
	if res.StatusCode != http.StatusOK || body != string(fakeopenai.Pattern(300_000)) {
		t.Errorf("binary response: status %d, %d bytes, want the 300000 that were sent", res.StatusCode, len(body))
	}
}

func (a *adapter) testHeaders(t *testing.T) {
	u, base := a.start(t)
	req := request(t, "POST", base+"/v1/chat/completions", chatBody, "")
	leaks := []string{
		"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Cf-Connecting-Ip", "X-Amzn-Trace-Id",
		"X-Vercel-Id", "X-Cloud-Trace-Context", "Traceparent", "Function-Execution-Id", "Via", "Referer", "Origin",
		"Cookie", "Sec-Fetch-Mode", "X-Relay-Any",
	}
	for _, name := range leaks {
		req.Header.Set(name, "leak")
	}
	req.Header.Set("OpenAI-Beta", "assistants=v2")
	res, _ := complete(t, req)
	seen := u.Last().Header
	for _, name := range leaks {
		if got := seen.Get(name); got != "" {
			t.Errorf("upstream got %s: %q", name, got)
		}
	}
	if got := seen.Get("Authorization"); got != "Bearer "+testKey {
		t.Errorf("upstream got Authorization %q, want the key alone", got)
	}
	if got := seen.Get("Openai-Beta"); got != "assistants=v2" {
		t.Errorf("upstream got OpenAI-Beta %q", got)
	}
	for _, name := range []string{"Set-Cookie", "Alt-Svc", "Strict-Transport-Security", "Report-To", "Nel"} {
		if got := res.Header.Get(name); got != "" {
			t.Errorf("client got %s: %q", name, got)
		}
	}
	if got := res.Header.Get("X-Relay"); !strings.HasSuffix(got, "; origin=upstream") {
		t.Errorf("X-Relay = %q, want origin=upstream", got)
	}
	if res.Header.Get("X-Request-Id") == "" || res.Header.Get("X-Ratelimit-Remaining-Requests") == "" {
		t.Errorf("OpenAI's headers are missing from %v", res.Header)
	}
}

func (a *adapter) testInformational(t *testing.T) {
	_, base := a.start(t)
	res, body := complete(t, request(t, "POST", base+"/v1/chat/completions", chatBody, "1xx=3"))
	if res.StatusCode != http.StatusOK || !json.Valid([]byte(body)) || res.Header.Get("Link") != "" {
		t.Errorf("got %d %v %q", res.StatusCode, res.Header, body)
	}
}

func (a *adapter) testEmpty(t *testing.T) {
	_, base := a.start(t)
	res, body := complete(t, request(t, "HEAD", base+"/v1/models", "", ""))
	if res.StatusCode != http.StatusOK || body != "" {
		t.Errorf("HEAD: %d %q", res.StatusCode, body)
	}
	for _, status := range []int{204, 304} {
		res, body := complete(t, request(t, "GET", base+"/v1/models", "", fmt.Sprintf("status=%d", status)))
		if res.StatusCode != status || body != "" {
			t.Errorf("%d: got %d %q", status, res.StatusCode, body)
		}
	}
}

func (a *adapter) testHeaderFlush(t *testing.T) {
	if !a.can(Streaming) {
		t.Skip("no streaming")
	}
	_, base := a.start(t)
	// The upstream sends its header, and nothing more until the client disconnects.
	res := roundTrip(t, request(t, "POST", base+"/v1/chat/completions", streamBody, "silence=0"))
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		t.Errorf("got %d %v", res.StatusCode, res.Header)
	}
}

func (a *adapter) testEvents(t *testing.T) {
	if !a.can(Streaming) {
		t.Skip("no streaming")
	}
	_, base := a.start(t)
	for k := 1; k <= 5; k++ {
		// Event k is read while the upstream waits after it.
		res := roundTrip(t, request(t, "POST", base+"/v1/chat/completions", streamBody, fmt.Sprintf("silence=%d", k)))
		scan := bufio.NewScanner(res.Body)
		for got := 0; got < k && scan.Scan(); {
			if strings.HasPrefix(scan.Text(), "data: ") {
				got++
			}
		}
		if err := scan.Err(); err != nil {
			t.Errorf("reading %d events: %v", k, err)
		}
		res.Body.Close()
	}
}

func (a *adapter) testBroken(t *testing.T) {
	_, base := a.start(t)
	for _, fault := range []string{
		"cut=0", "cut=1", "cut=3", "cut-line=2", "cut-utf8=2", "reset=2", "bad-chunk=2", "no-last-chunk",
	} {
		res := roundTrip(t, request(t, "POST", base+"/v1/chat/completions", streamBody, fault))
		body, err := io.ReadAll(res.Body)
		if err == nil && res.StatusCode == http.StatusOK && a.can(Aborting) {
			t.Errorf("%s: the response ends cleanly: %q", fault, body)
		}
		if res.StatusCode == http.StatusOK && !strings.Contains(string(body), `"code":"upstream_interrupted"`) {
			t.Errorf("%s: no error event in %q", fault, body)
		}
		if fault != "no-last-chunk" && strings.Contains(string(body), "[DONE]") {
			t.Errorf("%s: the response says [DONE]", fault)
		}
	}
	res := roundTrip(t, request(t, "POST", base+"/v1/chat/completions", chatBody, "short-cl"))
	if body, err := io.ReadAll(res.Body); err == nil && res.StatusCode == http.StatusOK {
		t.Errorf("a JSON response that was cut looks complete: %q", body)
	}
}

func (a *adapter) testAfterAbort(t *testing.T) {
	_, base := a.start(t)
	for range 5 {
		res := roundTrip(t, request(t, "POST", base+"/v1/chat/completions", streamBody, "cut=2"))
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		res, body := complete(t, request(t, "POST", base+"/v1/chat/completions", chatBody, ""))
		if res.StatusCode != http.StatusOK || !json.Valid([]byte(body)) {
			t.Fatalf("got %d %q", res.StatusCode, body)
		}
	}
}

func (a *adapter) testClientGone(t *testing.T) {
	if !a.can(Canceling) {
		t.Skip("the platform does not tell the function")
	}
	u, base := a.start(t)
	transport := a.leaving(t)
	for _, fault := range []string{"hang", "silence=1"} {
		ctx, cancel := context.WithCancel(t.Context())
		u.Reset()
		go func() {
			u.WaitArrived(t, 1)
			if fault == "hang" {
				cancel()
			}
		}()
		req := request(t, "POST", base+"/v1/chat/completions", streamBody, fault)
		res, err := transport.RoundTrip(req.WithContext(ctx))
		if err == nil {
			_, _ = res.Body.Read(make([]byte, 1))
			cancel()
			res.Body.Close()
		}
		gone := time.Now()
		t.Logf("%s: upstream cancelled after %v", fault, u.Wait(t, 1).WaitCanceled(t).Sub(gone))
		cancel()
	}
}

// leaving returns the transport of clients that disconnect early.
func (a *adapter) leaving(t *testing.T) http.RoundTripper {
	if !a.resetting {
		return http.DefaultTransport
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		return conn, err
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// relayError returns the code of an error that the relay itself returned.
func relayError(t *testing.T, res *http.Response, body string) string {
	t.Helper()
	var e struct {
		Error struct{ Message, Type, Code string }
	}
	if err := json.Unmarshal([]byte(body), &e); err != nil || e.Error.Type != "relay_error" || e.Error.Message == "" {
		t.Errorf("%d %q is not an error in OpenAI's shape", res.StatusCode, body)
	}
	if !strings.HasSuffix(res.Header.Get("X-Relay"), "; origin=relay") {
		t.Errorf("X-Relay = %q, want origin=relay", res.Header.Get("X-Relay"))
	}
	return e.Error.Code
}

func (a *adapter) testErrors(t *testing.T) {
	u, base := a.start(t)
	req := request(t, "POST", base+"/v1/chat/completions", chatBody, "")
	req.Header.Set("Authorization", "Bearer "+testKey)
	res, body := complete(t, req)
	if code := relayError(t, res, body); res.StatusCode != http.StatusUnauthorized || code != "invalid_access_token" {
		t.Errorf("no token: got %d %s", res.StatusCode, code)
	}
	res, body = complete(t, request(t, "GET", base+"/nothing", "", ""))
	if code := relayError(t, res, body); res.StatusCode != http.StatusNotFound || code != "unknown_path" {
		t.Errorf("unknown path: got %d %s", res.StatusCode, code)
	}
	if n := u.Arrived(); n != 0 {
		t.Errorf("upstream saw %d requests, want none", n)
	}
	res, body = complete(t, request(t, "POST", base+"/v1/chat/completions", chatBody, "close-before"))
	if code := relayError(t, res, body); res.StatusCode != http.StatusBadGateway || code != "upstream_reset" {
		t.Errorf("no response: got %d %s", res.StatusCode, code)
	}
	res, body = complete(t, request(t, "POST", base+"/v1/chat/completions", chatBody, "status=429 retry-after-ms=20"))
	if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After-Ms") != "20" ||
		!strings.HasSuffix(res.Header.Get("X-Relay"), "origin=upstream") {
		t.Errorf("upstream's 429: got %d %v %s", res.StatusCode, res.Header, body)
	}
}

func (a *adapter) testPreflight(t *testing.T) {
	u, base := a.start(t)
	req := request(t, "OPTIONS", base+"/v1/chat/completions", "", "")
	req.Header = http.Header{
		"Origin": {"https://chat.example"}, "Access-Control-Request-Method": {"POST"},
		"Access-Control-Request-Headers": {"authorization,x-stainless-lang"},
	}
	res, _ := complete(t, req)
	if got := res.Header.Get("Access-Control-Allow-Headers"); res.StatusCode != http.StatusNoContent ||
		got != "authorization, x-stainless-lang" {
		t.Errorf("got %d, Access-Control-Allow-Headers %q", res.StatusCode, got)
	}
	if got := res.Header.Values("Access-Control-Allow-Origin"); !slices.Equal(got, []string{"*"}) {
		t.Errorf("Access-Control-Allow-Origin = %q", got)
	}
	if n := u.Arrived(); n != 0 {
		t.Errorf("upstream saw %d requests, want none", n)
	}
}

func (a *adapter) testPage(t *testing.T) {
	u, base := a.start(t)
	get := func(method, etag string) (*http.Response, string) {
		t.Helper()
		req := request(t, method, base+"/", "", "")
		req.Header = http.Header{"Accept-Encoding": {"gzip"}}
		if etag != "" {
			req.Header.Set("If-None-Match", etag)
		}
		res, body := complete(t, req)
		if h := res.Header; !strings.HasSuffix(h.Get("X-Relay"), "; origin=relay") ||
			!strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'; ") || h.Get("Etag") == "" {
			t.Errorf("%s: %d %v", method, res.StatusCode, h)
		}
		return res, body
	}
	res, body := get("GET", "")
	page, err := gzip.NewReader(strings.NewReader(body))
	if err != nil || res.StatusCode != http.StatusOK || res.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("got %d %v, %v", res.StatusCode, res.Header, err)
	}
	if html, err := io.ReadAll(page); err != nil || !bytes.HasSuffix(html, []byte("</html>\n")) {
		t.Errorf("the page: %d bytes, %v", len(html), err)
	}
	if res, body := get("GET", res.Header.Get("Etag")); res.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("again: got %d and %d bytes, want 304", res.StatusCode, len(body))
	}
	if res, body := get("HEAD", ""); res.StatusCode != http.StatusOK || body != "" {
		t.Errorf("HEAD: got %d and %d bytes", res.StatusCode, len(body))
	}
	if n := u.Arrived(); n != 0 {
		t.Errorf("upstream saw %d requests, want none", n)
	}
}

func (a *adapter) testWebSocket(t *testing.T) {
	_, base := a.start(t)
	req := request(t, "GET", base+"/v1/realtime?model=gpt-realtime", "", "")
	req.Body = nil
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	req.Header.Set("Sec-WebSocket-Version", "13")
	req.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	res := roundTrip(t, req)
	if !a.can(WebSocket) {
		body, _ := io.ReadAll(res.Body)
		if code := relayError(t, res, string(body)); res.StatusCode != http.StatusUpgradeRequired ||
			code != "websocket_unsupported" {
			t.Errorf("got %d %s", res.StatusCode, code)
		}
		return
	}
	conn, ok := res.Body.(io.ReadWriter)
	if res.StatusCode != http.StatusSwitchingProtocols || !ok {
		t.Fatalf("got %d", res.StatusCode)
	}
	// A masked text frame "hi", and its echo (RFC 6455, section 5).
	_, _ = conn.Write([]byte{0x81, 0x82, 1, 2, 3, 4, 'h' ^ 1, 'i' ^ 2})
	got := make([]byte, 4)
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, []byte{0x81, 2, 'h', 'i'}) {
		t.Errorf("echo % x, %v", got, err)
	}
}

func (a *adapter) testMisconfigured(t *testing.T) {
	if !a.can(Misconfigured) {
		t.Skip("the adapter does not start with bad settings")
	}
	base := a.serve(t, []string{"RELAY_API_KEY=" + testKey, "RELAY_NONSENSE=1"})
	res, body := complete(t, request(t, "POST", base+"/v1/chat/completions", chatBody, ""))
	if code := relayError(t, res, body); res.StatusCode != http.StatusInternalServerError ||
		code != "relay_misconfigured" || res.Header.Get("X-Should-Retry") != "false" {
		t.Errorf("got %d %s %v", res.StatusCode, code, res.Header)
	}
	if strings.Contains(body, testKey) {
		t.Error("the response holds the key")
	}
}

// testSeveral has several upstreams, of which one or all are down.
func (a *adapter) testSeveral(t *testing.T) {
	dead := "http://" + proc.RefusingAddr(t)
	serve := func(t *testing.T, upstreams ...string) string {
		t.Helper()
		environ := []string{"RELAY_UPSTREAMS=" + strings.Join(upstreams, ","), "RELAY_ACCESS_TOKENS=" + testToken}
		return strings.TrimSuffix(a.serve(t, environ), "/") + "/v1/chat/completions"
	}
	t.Run("one dead", func(t *testing.T) {
		u := fakeopenai.StartUpstream(t)
		u.Delay = a.delay
		url := serve(t, dead+"#dead", u.URL+"#alive")
		requests := 5 // enough for the dead one to be marked down
		if !a.can(Refusals) {
			// The dead one may have got the first request, so only the client may retry it.
			res, body := complete(t, request(t, "POST", url, chatBody, ""))
			if code := relayError(t, res, body); res.StatusCode != http.StatusBadGateway ||
				code != "upstream_reset" || res.Header.Get("Retry-After-Ms") == "" {
				t.Errorf("the first request: %d %s %v, want a 502 that SDKs retry", res.StatusCode, code, res.Header)
			}
		}
		for i := range requests {
			body, want := chatBody, `"content":"`+fakeopenai.Reply("hello")
			if i%2 == 1 {
				body, want = streamBody, "data: [DONE]\n\n"
			}
			res, got := complete(t, request(t, "POST", url, body, ""))
			if by := res.Header.Get("X-Relay-Upstream"); res.StatusCode != http.StatusOK || by != "alive" ||
				!strings.Contains(got, want) {
				t.Errorf("request %d: %d by %q, %s; want a complete response by the one that is alive",
					i+1, res.StatusCode, by, got)
			}
			if got := res.Header.Get("X-Relay-Attempts"); got != "2" && (i < 3 && a.can(Refusals) || got != "1") {
				t.Errorf("request %d: X-Relay-Attempts %q", i+1, got)
			}
		}
		if u.Arrived() != requests {
			t.Errorf("the upstream got %d requests, want %d and no probes", u.Arrived(), requests)
		}
	})
	t.Run("all dead", func(t *testing.T) {
		res, body := complete(t, request(t, "POST", serve(t, dead+"#dead", dead+"/x#dead-too"), chatBody, ""))
		code := res.Header.Get("X-Relay-Error")
		if !a.can(Refusals) {
			if res.StatusCode != http.StatusBadGateway || code != "upstream_reset" {
				t.Errorf("%d %s %s, want 502 upstream_reset", res.StatusCode, code, body)
			}
			return
		}
		if res.StatusCode != http.StatusBadGateway ||
			code != "all_regions_failed" || !strings.Contains(body, "dead: refused, dead-too: refused") {
			t.Errorf("%d %s %s, want 502 all_regions_failed and which refused", res.StatusCode, code, body)
		}
	})
}
