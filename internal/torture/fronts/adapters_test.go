package fronts

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/lambdaemu"
	"example.com/relay/internal/torture"
)

var (
	noEvents = excepting("requests come by HTTP, not as events", local, gcf, vercel, gateway)
	notGCF   = excepting("concerns Google's framework only", local, lambda, buffered, vercel, gateway)
)

func TestAdapters(t *testing.T) {
	runRows(t, []row{
		{"F01", "malformed events", lambdas, noEvents, nil, badEvents},
		{"F02", "bodies that do not match isBase64Encoded", lambdas, noEvents, nil, badBase64},
		{"F03", "binary uploads", all, nil, nil, binaryUploads},
		{"F04", "cookies, comma-joined and upper-case headers", lambdas, noEvents, nil, eventHeaders},
		{"F05", "unusual responses", all, nil, nil, oddResponses},
		{"F06", "events whose path would change the host", lambdas, noEvents, nil, eventPaths},
		{"F07", "handlers that panic", []string{process},
			excepting("no input is known that makes core panic; each adapter's contract.TestBridge panics on purpose",
				all...), nil, handlerPanics},
		{"F08", "the platform's deadline amid events", lambdas,
			excepting("the platform does not tell a deadline (GCF's is tested by gcf's TestDeadline)", local, gcf,
				vercel, gateway), nil, deadlineAmidEvents},
		{"F09", "responses that the Runtime API rejects", lambdas, noEvents, nil, refusedResponses},
		{"F10", "1xx from the upstream", lambdas, excepting("row B11", local, gcf, vercel, gateway), nil, earlyHints},
		{"F11", "abort amid events", []string{gcf}, notGCF, nil, abortAmidEvents},
		{"F12", "headers of the platform", []string{gcf}, notGCF, nil, platformHeaders},
		{"F13", "a writer without Flusher", []string{process},
			excepting("its writer can flush; Vercel's legacy bridge, whose writer cannot, is not used (see vercel's "+
				"package comment)", all...), nil, plainWriter},
		{"F14", "rewritten paths", nil, excepting("there is no api/ and no rewrite in vercel.json: Vercel's server "+
			"mode forwards paths unchanged", everywhere...), nil, nil},
		{"F15", "a cold start with bad settings", []string{lambda, buffered, gcf, vercel},
			excepting("relay serve does not start: cmd/relay's TestServeBadSettings", relays...), nil, badSettings},
		{"F16", "the secret store is down", lambdas, with(
			excepting("it fails closed, and a cached key expires, but the response is 500 relay_misconfigured, not 503",
				lambdas...),
			excepting("does not read secrets itself: GCF and Vercel put them into the environment", local, gcf, vercel,
				gateway),
		), nil, secretsDown},
		{"F17", "frozen between two requests", lambdas,
			excepting("tests cannot freeze it as the platform does; row B18 shows stale connections", local, gcf,
				vercel, gateway), nil, frozen},
		{"F18", "bodies at the platform's limit", []string{lambda, buffered, vercel},
			excepting("the platform's limit is not below the relay's own, which is row A13", local, gcf, gateway), nil,
			platformLimit},
	})
}

// reply is a response to an event.
type reply struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

// invoke sends the function an event and returns the response.
func (r *rig) invoke(event string) (a response) {
	r.Helper()
	got, err := r.emulator.Invoke(r.Context(), []byte(event))
	if err != nil {
		return response{err: err}
	}
	defer got.Body.Close()
	payload, err := io.ReadAll(got.Body)
	if err != nil {
		return response{err: err}
	}
	// A streamed response begins with its head and eight NULs.
	head, body, streamed := bytes.Cut(payload, make([]byte, 8))
	var re reply
	if err := json.Unmarshal(head, &re); err != nil {
		return response{err: fmt.Errorf("%w: %.200q", err, payload)}
	}
	a = response{status: re.StatusCode, header: make(http.Header), body: re.Body}
	for name, value := range re.Headers {
		a.header.Set(name, value)
	}
	if streamed {
		a.body = string(body)
	} else if re.IsBase64Encoded {
		b, err := base64.StdEncoding.DecodeString(re.Body)
		a.body, a.err = string(b), err
	}
	r.received(a.header, []byte(a.body))
	return a
}

// event returns a function URL's event, changed.
func event(change func(e, http map[string]any)) string {
	http := map[string]any{"method": "POST", "path": chatPath, "sourceIp": "192.0.2.1"}
	e := map[string]any{
		"version": "2.0", "rawPath": chatPath, "rawQueryString": "",
		"headers": map[string]any{"authorization": "Bearer " + canaryKey, "x-relay-token": canaryToken,
			"content-type": "application/json"},
		"requestContext": map[string]any{"domainName": "x.lambda-url.us-east-1.on.aws", "http": http},
		"body":           chat, "isBase64Encoded": false,
	}
	change(e, http)
	b, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func badEvents(r *rig) {
	for name, e := range map[string]string{
		"a number": "7", "null": "null", "a string": `"x"`, "a list": "[]", "empty": "{}",
		"wrong types":  `{"rawPath":7,"headers":"x"}`,
		"no method":    event(func(_, http map[string]any) { delete(http, "method") }),
		"null headers": event(func(e, _ map[string]any) { e["headers"] = nil }),
		"null context": event(func(e, _ map[string]any) { e["requestContext"] = nil }),
		"version 1.0": `{"version":"1.0","httpMethod":"GET","path":"/v1/models","headers":{"Authorization":"Bearer ` +
			`sk-x"},"requestContext":{}}`,
		"bad header": event(func(e, _ map[string]any) { e["headers"] = map[string]any{"a\r\nb": "c"} }),
	} {
		a := r.invoke(e)
		if a.err != nil || a.status < 200 || a.status >= 500 {
			r.Errorf("%s: got %v, want a response", name, a)
		}
	}
	n := torture.Pick(300, 10_000)
	for range n {
		if a := r.invoke(randomEvent(event(func(_, _ map[string]any) {}))); a.err != nil || a.status < 200 ||
			a.status > 599 {
			r.Fatalf("got %v", a)
		}
	}
	r.note(fmt.Sprintf("%d random events, each with a response", n))
	r.wantAlive(1)
}

// randomEvent puts a JSON value of another kind somewhere into an event.
func randomEvent(e string) string {
	var v map[string]any
	_ = json.Unmarshal([]byte(e), &v)
	values := []any{nil, 7, true, "", "\x00", []any{}, map[string]any{}, []any{1, "x"}, strings.Repeat("%", 100),
		"http://evil/"}
	at := v
	if inner, ok := v["requestContext"].(map[string]any); ok && rand.IntN(3) == 0 {
		at = inner
	}
	var names []string
	for name := range at {
		names = append(names, name)
	}
	at[names[rand.IntN(len(names))]] = values[rand.IntN(len(values))]
	b, _ := json.Marshal(v)
	return string(b)
}

// wantAlive fails if more than n processes were started, or one crashed.
func (r *rig) wantAlive(n int) {
	r.Helper()
	if stats := r.emulator.Stats(); stats.Crashed != 0 || stats.Spawned > n {
		r.Errorf("the process did not survive: %+v", stats)
	}
}

func badBase64(r *rig) {
	for _, body := range []string{"!!!", "e30", "e30===", "e3\x00", "e30=trailing", "-_-_"} {
		a := r.invoke(event(func(e, _ map[string]any) { e["body"], e["isBase64Encoded"] = body, true }))
		r.wantError(a, http.StatusBadRequest, "invalid_event")
	}
	r.wantUpstream(0)
	if a := r.invoke(event(func(e, _ map[string]any) { e["body"], e["isBase64Encoded"] = "", true })); a.err != nil ||
		a.status != 400 {
		r.Errorf("empty: got %v, want the upstream's 400", a)
	}
	if req := r.Wait(r, 1); len(req.Body) != 0 {
		r.Errorf("upstream got %q", req.Body)
	}
}

func binaryUploads(r *rig) {
	const n = 4 << 20
	bodies := [][]byte{fakeopenai.Pattern(n), {0}, []byte("\xff\xfe"), fakeopenai.Pattern(100_000)}
	if r.is(vercel) {
		bodies[0] = bodies[0][:4_400_000-300_000]
	}
	for i, body := range bodies {
		a := r.send("POST", "/v1/files", string(body), "Content-Type", "application/octet-stream")
		if a.err != nil || a.status == http.StatusRequestEntityTooLarge {
			r.Errorf("%d bytes: got %v", len(body), a)
		}
		if req := r.Wait(r, i+1); !bytes.Equal(req.Body, body) || req.ContentLength != int64(len(body)) {
			r.Errorf("upstream got %d bytes of %d, length %d", len(req.Body), len(body), req.ContentLength)
		}
	}
	r.wantUpstream(len(bodies))
	r.note(fmt.Sprintf("%d of %d intact, the largest of %d bytes", len(bodies), len(bodies), len(bodies[0])))
}

func eventHeaders(r *rig) {
	a := r.invoke(event(func(e, _ map[string]any) {
		e["cookies"] = []string{"a=b", "c=d"}
		e["headers"] = map[string]any{"AUTHORIZATION": "Bearer " + canaryKey, "X-Relay-Token": canaryToken,
			"content-type": "application/json", "cookie": "a=b", "openai-beta": "one,two",
			"x-forwarded-for": "192.0.2.1"}
	}))
	if a.status != 200 {
		r.Fatalf("got %v", a)
	}
	h := r.Wait(r, 1).Header
	if h.Get("Cookie") != "" || h.Get("Openai-Beta") != "one,two" || h.Get("Authorization") != "Bearer "+canaryKey {
		r.Errorf("upstream saw %v", h)
	}
}

func oddResponses(r *rig) {
	for _, test := range []struct{ response, body string }{
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""},
		{"HTTP/1.1 204 No Content\r\n\r\n", ""},
		{"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n", ""},
		{"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 0\r\n\r\n", ""},
		{"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nX-Odd: <a>\r\n" +
			"X-Odd: <b>\r\nContent-Length: 2\r\n\r\n{}", "{}"},
	} {
		s := responding(r, test.response, false)
		r.start(s.URL)
		a := r.send("POST", chatPath, chat)
		if want := test.response[len("HTTP/1.1 "):][:3]; a.err != nil || fmt.Sprint(a.status) != want ||
			a.body != test.body || len(a.header.Values("Set-Cookie")) > 0 {
			r.Errorf("%q: got %v with %v", test.response, a, a.header)
		}
		if strings.Contains(test.response, "X-Odd") && strings.Join(a.header.Values("X-Odd"), ", ") != "<a>, <b>" {
			r.Errorf("X-Odd: %q", a.header.Values("X-Odd"))
		}
	}
	if a := r.send("HEAD", "/v1/models", ""); a.err != nil || a.body != "" {
		r.Errorf("HEAD: %v", a)
	}
}

func eventPaths(r *rig) {
	for _, path := range []string{"@evil/", "evil.example/v1/models", "//evil.example/v1/models", "/v1/%2F/models",
		"v1/models", "", "/v1/../x", "http://evil/v1/models"} {
		a := r.invoke(event(func(e, _ map[string]any) { e["rawPath"] = path }))
		if a.err != nil || a.status != http.StatusBadRequest && a.status != http.StatusNotFound {
			r.Errorf("%q: got %v, want 400", path, a)
		}
	}
	r.wantUpstream(0)
	for i, domain := range []string{"", "evil.example", "a\r\nb"} {
		a := r.invoke(event(func(e, _ map[string]any) { e["requestContext"].(map[string]any)["domainName"] = domain }))
		if a.status != 200 {
			r.Errorf("domain %q: got %v", domain, a)
		}
		if req := r.Wait(r, i+1); "http://"+req.Host != r.URL {
			r.Errorf("domain %q: upstream saw the host %q", domain, req.Host)
		}
	}
	r.wantAlive(1)
}

func deadlineAmidEvents(r *rig) {
	r.restartLambda(lambdaemu.Function{Timeout: 2500 * time.Millisecond}, r.URL)
	a := r.fault(stream, "events=500 gap=50ms")
	if r.is(buffered) {
		if a.status < 500 {
			r.Errorf("got %v, want an error", a)
		}
	} else if a.err == nil || !strings.Contains(a.body, `"code":"relay_deadline"`) ||
		strings.Contains(a.body, "[DONE]") {
		r.Errorf("got %v, want the error event and a broken end", a)
	}
	r.wantNext()
	if stats := r.emulator.Stats(); stats.TimedOut != 0 || stats.Crashed != 0 {
		r.Errorf("the platform killed the process: %+v", stats)
	}
}

func refusedResponses(r *rig) {
	a := r.fault(chat, "bytes=7000000")
	if r.is(buffered) {
		r.wantError(a, http.StatusBadGateway, "response_too_large")
	} else if a.err != nil || a.status != 200 || len(a.body) < 7_000_000 {
		r.Errorf("got %d bytes, %v", len(a.body), a.err)
	}
	// A client that disconnects, after which the emulator discards the response.
	ctx, cancel := context.WithTimeout(r.Context(), 200*time.Millisecond)
	defer cancel()
	if res, err := r.transport.RoundTrip(request(r, "POST", r.base+chatPath, stream, "Fake-Fault",
		"events=20 gap=50ms").WithContext(ctx)); err == nil {
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	r.wantNext()
	r.wantAlive(2)
	for _, req := range r.Requests() {
		req.WaitDone(r) // the function was not notified that its client had disconnected
	}
	r.runtimeAPIFaults()
}

// runtimeAPIFaults has the Runtime API refuse responses, and close the connection in
// the middle of one: whatever becomes of it, the next invocation is clean.
func (r *rig) runtimeAPIFaults() {
	r.Helper()
	var fault atomic.Value
	fault.Store("")
	real := filepath.Join(r.TempDir(), "api") // where the real one is
	api := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			addr, _ := os.ReadFile(real)
			pr.SetURL(&url.URL{Scheme: "http", Host: strings.TrimSpace(string(addr))})
			if strings.HasSuffix(pr.In.URL.Path, "/response") && fault.Load() == "lost" {
				pr.Out.Body = io.NopCloser(io.MultiReader(io.LimitReader(pr.In.Body, 200),
					iotest.ErrReader(io.ErrUnexpectedEOF)))
			}
		},
		ModifyResponse: func(res *http.Response) error {
			if status, err := strconv.Atoi(fault.Load().(string)); err == nil &&
				strings.HasSuffix(res.Request.URL.Path, "/response") {
				res.StatusCode = status
			}
			return nil
		},
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:      discard,
		FlushInterval: -1,
	})
	api.Config.ErrorLog = discard
	r.Cleanup(api.Close)
	bootstrap := filepath.Join(r.TempDir(), "bootstrap")
	script := fmt.Sprintf("#!/bin/sh\necho $AWS_LAMBDA_RUNTIME_API >%s\nAWS_LAMBDA_RUNTIME_API=%s exec %s\n", real,
		strings.TrimPrefix(api.URL, "http://"), r.programs.lambda)
	if err := os.WriteFile(bootstrap, []byte(script), 0o755); err != nil {
		r.Fatal(err)
	}
	r.restartLambda(lambdaemu.Function{Bootstrap: bootstrap, Concurrency: 1}, r.URL)
	r.wantNext()
	for _, how := range []string{"413", "500", "lost"} {
		for _, body := range []string{chat, stream} {
			before := r.Arrived()
			fault.Store(how)
			a := r.fault(body, "")
			if how == "lost" && a.complete() {
				r.Errorf("%s: %v looks complete", how, a)
			}
			fault.Store("")
			r.wantUpstream(before + 1)
			r.wantNext()
		}
	}
	r.note(fmt.Sprintf("413, 500 and a lost connection: the next invocation is clean, in %d processes",
		r.emulator.Stats().Spawned))
}

func abortAmidEvents(r *rig) {
	for _, fault := range []string{"reset=3", "cut=3", "bad-chunk"} {
		a := r.fault(stream, fault)
		if a.err == nil || strings.Contains(strings.ToLower(a.body), "panic") ||
			!strings.Contains(a.body, "upstream_interrupted") {
			r.Errorf("%s: got %v", fault, a)
		}
	}
	if logs := r.logs(); strings.Contains(logs, "panic") {
		r.Errorf("log: %s", logs)
	}
}

func platformHeaders(r *rig) {
	a := r.send("POST", chatPath, chat, "X-Forwarded-For", "192.0.2.1", "X-Forwarded-Proto", "https", "Forwarded",
		"for=192.0.2.1", "Traceparent", "00-1-1-01", "X-Cloud-Trace-Context", "1/1", "Function-Execution-Id", "x",
		"X-Appengine-Country", "US")
	if a.status != 200 {
		r.Errorf("got %v", a)
	}
	for name := range r.Wait(r, 1).Header {
		if identifies(name) || strings.HasPrefix(name, "X-Appengine") || strings.HasPrefix(name, "X-Cloud") {
			r.Errorf("upstream got %s", name)
		}
	}
}

func badSettings(r *rig) {
	r.start(r.URL, "RELAY_API_KEY="+canaryKey, "RELAY_IDLE_TIMEOUT=soon", "RELAY_NO_SUCH_SETTING=x",
		"RELAY_ACCESS_TOKENS="+canaryToken)
	a := r.send("POST", chatPath, chat)
	r.wantError(a, http.StatusInternalServerError, "relay_misconfigured")
	if a.header.Get("X-Should-Retry") != "false" {
		r.Error("clients may retry")
	}
	if logs := r.logs(); !strings.Contains(logs, "RELAY_NO_SUCH_SETTING") ||
		!strings.Contains(logs, "RELAY_IDLE_TIMEOUT") {
		r.Errorf("the log does not name what is wrong:\n%s", logs)
	}
	r.wantUpstream(0)
}

// secretsDown has the extension that reads secrets fail, work, and fail again: a key
// is used for five minutes of wall-clock time, and nothing is sent without one.
func secretsDown(r *rig) {
	c := r.setClock()
	extension := httptest.NewUnstartedServer(nil)
	defer extension.Close()
	var status atomic.Int64 // of the store; 0 closes the connection
	extension.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		code := int(status.Load())
		if code == 0 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(code)
		fmt.Fprint(w, `{"SecretString":"`+secretKey+`"}`)
	})
	extension.Start()
	_, port, _ := strings.Cut(strings.TrimPrefix(extension.URL, "http://"), ":")
	r.restartLambda(lambdaemu.Function{Concurrency: 1, Timeout: farDeadline}, r.URL,
		"RELAY_API_KEY_SECRET=arn:aws:secretsmanager:us-east-1:123456789012:secret:x", "AWS_SESSION_TOKEN=x",
		"PARAMETERS_SECRETS_EXTENSION_HTTP_PORT="+port, c.env())
	closed := func(why string) {
		r.Helper()
		before := r.Arrived()
		a := r.send("POST", chatPath, chat)
		if a.status != http.StatusInternalServerError {
			r.Errorf("%s: got %v, want it closed", why, a)
		}
		r.wantError(a, a.status, "relay_misconfigured")
		r.wantUpstream(before)
		c.jump(r, 2*time.Second) // when the secret is requested again
	}
	open := func(why string) {
		r.Helper()
		r.wantNext()
		if got := r.Last().Header.Get("Authorization"); got != "Bearer "+secretKey {
			r.Errorf("%s: upstream got the key %q", why, got)
		}
	}
	closed("away from the beginning")
	status.Store(http.StatusBadRequest)
	closed("says no")
	status.Store(http.StatusOK)
	open("there")
	status.Store(0)
	c.jump(r, 4*time.Minute)
	open("away for four minutes")
	c.jump(r, 2*time.Minute)
	closed("away for six minutes")
	status.Store(http.StatusOK)
	open("there again")
	if text := r.logs(); strings.Contains(text, secretKey) {
		r.Error("the log holds the key")
	}
	r.wantAlive(1)
	r.note("without a key: 500 relay_misconfigured, and nothing sent; a cached key is still used after 4 minutes, " +
		"not after 6")
}

const secretKey = "sk-SECRET-0123456789"

// frozen stops the process between requests, as the platform does, while the
// upstream closes its connections.
func frozen(r *rig) {
	s := ending(r)
	r.restartLambda(lambdaemu.Function{Freeze: true, Concurrency: 1}, s.URL)
	n := torture.Pick(30, 100)
	for i := range n {
		if a := r.send("POST", chatPath, chat); a.status != 200 {
			r.Fatalf("after %d freezes: %v", i, a)
		}
		s.end(r, hangUp)
	}
	if got := s.requests.Load(); got != int64(n) {
		r.Errorf("upstream saw %d requests, want %d", got, n)
	}
	r.wantAlive(1)
	r.resume()
	r.thawed()
	r.note(fmt.Sprintf("0 of %d POSTs failed, and 0 of 10 with ten minutes of wall-clock time between them", n))
	r.resume()
}

// resume lets frozen functions run, so that they can end.
func (r *rig) resume() {
	for _, pid := range r.emulator.PIDs() {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
}

func platformLimit(r *rig) {
	if r.is(vercel) {
		const limit = 4_500_000
		if a := r.send("POST", "/v1/files", strings.Repeat("x", limit)); a.status == http.StatusRequestEntityTooLarge {
			r.Errorf("%d bytes: %v", limit, a)
		}
		a := r.send("POST", "/v1/files", strings.Repeat("x", limit+1))
		r.wantError(a, http.StatusRequestEntityTooLarge, "body_too_large")
		r.wantUpstream(1)
		return
	}
	// AWS itself refuses events of more than 6 MiB.
	if a := r.send("POST", "/v1/files", strings.Repeat("x", 4<<20), "Content-Type",
		"application/octet-stream"); a.err != nil || a.status == http.StatusRequestEntityTooLarge {
		r.Errorf("4 MiB: %v", a)
	}
	if a := r.send("POST", "/v1/files", strings.Repeat("x", 7<<20), "Content-Type",
		"application/octet-stream"); a.status != http.StatusRequestEntityTooLarge {
		r.Errorf("7 MiB: %v", a)
	}
	r.wantUpstream(1)
	r.note("larger bodies end at AWS with its 413")
}
