package fronts

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/relay/internal/torture"
)

var (
	// platformFirst are the fronts that no raw bytes reach.
	platformFirst = excepting("the platform's front end parses the client's HTTP; what it forwards is a clean request",
		lambda, buffered, gcf, vercel)
	// awsFirst are the fronts that get header fields from the platform.
	awsFirst = excepting("AWS parses the request and delivers it as fields", lambdas...)
)

func TestHostile(t *testing.T) {
	runRows(t, []row{
		{"D01", "Connection lists protected headers", servers, awsFirst, nil, connectionOptions},
		{"D02", "headers that identify", all, nil, nil, identifyingHeaders},
		{"D03", "underscore twins", servers, awsFirst, nil, underscores},
		{"D04", "duplicate Authorization, Host, Content-Length", servers, awsFirst, nil, duplicates},
		{"D05", "request smuggling", relays, platformFirst, nil, smuggling},
		{"D06", "paths that two servers read differently", all, nil, nil, paths},
		{"D07", "targets in other forms", relays, platformFirst, nil, targets},
		{"D08", "invalid methods", all, nil, nil, methods},
		{"D09", "other upgrades", servers, awsFirst, nil, otherUpgrades},
		{"D10", "odd queries", all, nil, nil, queries},
		{"D11", "control characters in headers", relays, platformFirst, nil, controls},
		{"D12", "wrong tokens", all, nil, nil, wrongTokens},
		{"D13", "tokens in the path", all, nil, []string{"RELAY_PATH_TOKENS=true"}, pathTokens},
		{"D14", "preflights", all, nil, nil, preflights},
		{"D15", "a web page of another name (DNS rebinding)", relays,
			excepting("functions accept any host name, custom domains included", lambda, buffered, gcf, vercel), nil,
			rebinding},
		{"D16", "a relay that is its own upstream", []string{local}, with(
			excepting("needs a loop of deployments; the hop count is core's, which the local front shows", lambda,
				buffered, gcf, vercel),
			excepting("its upstreams are relays already; the local front shows the loop", gateway)), nil, loop},
		{"D17", "headers that override", all, nil, nil, overrides},
		{"D18", "request trailers", servers, awsFirst, nil, requestTrailers},
		{"D19", "HTTP/2 attacks", []string{process},
			with(excepting("relay serve accepts HTTP/1.1 only: there is no HTTP/2 to attack", relays...),
				excepting("HTTP/2 ends at the platform, which uses HTTP/1.1 to the function", lambda, buffered, gcf,
					vercel)), nil, http2Attacks},
		{"D20", "caches and keys", all, nil, nil, caching},
	})
}

func connectionOptions(r *rig) {
	for i, value := range []string{
		"authorization, x-relay-token, host, content-type, content-encoding", "close, Authorization",
		"AUTHORIZATION\r\nConnection: X-Relay-Token",
		"keep-alive, content-length", " , ,authorization,,", "Connection, transfer-encoding", "openai-organization",
	} {
		a := r.raw(post(chatPath, chat, "Connection: "+value+"\r\n", "OpenAI-Organization: org\r\n",
			"Content-Encoding: identity\r\n"))
		if a.status != 200 || !strings.Contains(a.body, "hgfedcba") {
			r.Errorf("%q: got %v", value, a)
		}
		req := r.Wait(r, i+1)
		if req.Header.Get("Authorization") != "Bearer "+canaryKey || req.Header.Get("X-Relay-Token") != "" ||
			req.Header.Get("Content-Type") == "" || string(req.Body) != chat || req.Header.Get("Connection") != "" {
			r.Errorf("%q: upstream saw %v", value, req.Header)
		}
	}
}

// identifying are forty headers that could identify a client.
var identifying = []string{
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "Forwarded", "X-Real-Ip",
	"True-Client-Ip", "X-Client-Ip", "X-Cluster-Client-Ip",
	"Cf-Connecting-Ip", "Cf-Ray", "Cf-Ipcountry", "Cf-Visitor", "Cdn-Loop", "X-Amzn-Trace-Id", "X-Amz-Cf-Id",
	"X-Amz-Security-Token", "X-Vercel-Forwarded-For", "X-Vercel-Ip-Country",
	"X-Vercel-Id", "X-Now-Id", "X-Cloud-Trace-Context", "Traceparent", "Tracestate", "Baggage", "X-Appengine-User-Ip",
	"Function-Execution-Id", "X-Envoy-External-Address", "Via",
	"Cookie", "Referer", "Origin", "Sec-Fetch-Site", "Sec-Ch-Ua", "Dnt", "Priority", "X-B3-Traceid", "Fastly-Client-Ip",
	"X-Original-Forwarded-For", "Fly-Client-Ip",
}

func identifyingHeaders(r *rig) {
	var headers []string
	for _, name := range identifying {
		headers = append(headers, name, "IDENTIFIED")
	}
	a := r.send("POST", chatPath, chat, headers...)
	if a.status != 200 {
		r.Fatalf("got %v", a)
	}
	for name, values := range r.Wait(r, 1).Header {
		if slices.Contains(identifying, name) || strings.Contains(strings.Join(values, ""), "IDENTIFIED") {
			r.Errorf("upstream got %s: %q", name, values)
		}
	}
	if strings.Contains(r.logs(), "IDENTIFIED") {
		r.Error("the log holds the client's headers")
	}
	r.note(fmt.Sprintf("0 of %d reached the upstream", len(identifying)))
}

func underscores(r *rig) {
	a := r.raw(post(chatPath, chat, "X_Relay_Token: evil\r\n", "Content_Length: 3\r\n", "AUTHORIZATION_: evil\r\n",
		"x_forwarded_for: 1.2.3.4\r\n", "Api_key: evil\r\n", "openai_organization: evil\r\n",
		"accept_encoding: gzip\r\n", "Content_Type: text/plain\r\n", "sec_websocket-protocol: evil\r\n",
		"Cf_Connecting_IP: 1.2.3.4\r\n",
		"session_id: s-1\r\n"))
	if a.status != 200 {
		r.Errorf("got %v", a)
	}
	for name := range r.Wait(r, 1).Header {
		if strings.Contains(name, "_") && name != "Session_id" { // whose twin has no meaning
			r.Errorf("upstream got %s", name)
		}
	}
	r.wantUpstream(1)
}

func duplicates(r *rig) {
	list := []string{
		canaries + "Authorization: Bearer sk-other\r\nContent-Length: 2\r\n",
		canaries + "X-Relay-Token: other\r\nContent-Length: 2\r\n",
		canaries + "Content-Length: 2\r\nContent-Length: 3\r\n",
		canaries + "Content-Length: 2, 3\r\n",
	}
	if !r.is(worker) {
		list = append(list, canaries+"Host: other\r\nContent-Length: 2\r\n")
	}
	for _, headers := range list {
		if a := r.raw("POST " + chatPath + " HTTP/1.1\r\n" + headers + "\r\n{}x"); a.status != http.StatusBadRequest {
			r.Errorf("%q: got %v, want 400", headers, a)
		}
	}
	r.wantUpstream(0)
}

// smugglers returns requests about whose end two servers may disagree.
func smugglers() []string {
	var list []string
	add := func(headers, body string) {
		list = append(list, "POST "+chatPath+" HTTP/1.1\r\n"+canaries+headers+"\r\n"+body)
	}
	const inner = "GET /v1/smuggled HTTP/1.1\r\nHost: a\r\nX: "
	// CL.TE, TE.CL and TE.TE: Transfer-Encoding in forms that some servers ignore.
	for _, te := range []string{
		"Transfer-Encoding: chunked", "Transfer-Encoding : chunked", "Transfer-Encoding:\tchunked",
		"Transfer-Encoding: xchunked", "Transfer-Encoding: chunked, identity",
		"Transfer-Encoding: identity, chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
		"Transfer-Encoding: x\r\nTransfer-Encoding: chunked", "Transfer-encoding: CHUNKED",
		" Transfer-Encoding: chunked", "X: y\r\n Transfer-Encoding: chunked", "X: y\nTransfer-Encoding: chunked",
		"Transfer-Encoding\r\n: chunked", "Transfer-Encoding: \x0bchunked",
		"Transfer-Encoding: \"chunked\"", "Transfer-Encoding: chunked;x=y", "Transfer_Encoding: chunked",
		"Transfer-Encoding: chu\x00nked", "Transfer-Encoding: chunked\r", "Transfer\x00-Encoding: chunked",
		"\x00Transfer-Encoding: chunked", "Transfer-Encoding:\r\n chunked", "Transfer-Encoding: chunk",
		"Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: ",
		"Transfer-Encoding: identity", "Transfer-Encoding;: chunked", "Transfer-Encoding: chunked\x7f",
		"Transfer-Encoding: chunked,", "Transfer-Encoding: ,chunked", "TRANSFER-ENCODING: chunked",
	} {
		for _, cl := range []string{"Content-Length: 4\r\n", "Content-Length: 100\r\n", "Content-Length: 0\r\n", ""} {
			add(cl+te+"\r\n", "0\r\n\r\n"+inner)
		}
		add(te+"\r\nContent-Length: 6\r\n", "0\r\n\r\n"+inner)
	}
	for _, cl := range []string{"+4", "-1", "0x4", "4 4", "4,4", "4, 5", " 4\t", "4\x0b", "04", "4.0", "1e1",
		"99999999999999999999", "", "٤", "4\x00"} {
		add("Content-Length: "+cl+"\r\n", "{}  "+inner)
		add("Content-Length: 2\r\nContent-Length: "+cl+"\r\n", "{}  "+inner)
	}
	for _, body := range []string{
		"2;ext=\"\r\n\"\r\n{}\r\n0\r\n\r\n", "2;" + strings.Repeat("x", 9000) + "\r\n{}\r\n0\r\n\r\n", "2\n{}\n0\n\n",
		"2 \r\n{}\r\n0\r\n\r\n", "02\r\n{}\r\n0\r\n\r\n", "0x2\r\n{}\r\n0\r\n\r\n",
		"2\r\n{}XX0\r\n\r\n", "2\r\n{}0\r\n\r\n", "-2\r\n{}\r\n0\r\n\r\n", "+2\r\n{}\r\n0\r\n\r\n",
		"2\r{}\r\n0\r\n\r\n", "10000000000000002\r\n{}\r\n0\r\n\r\n",
		"2\r\n{}\r\n0\r\nX: y\r\nContent-Length: 9\r\n\r\n", "2\r\n{}\r\n0\r\n" + inner,
		"2;\n{}\r\n0\r\n\r\n", "2\x00\r\n{}\r\n0\r\n\r\n", "\r\n2\r\n{}\r\n0\r\n\r\n",
		"2\r\n{}\r\n00000000000000000000\r\n\r\n",
	} {
		add("Transfer-Encoding: chunked\r\n", body+inner)
	}
	for _, line := range []string{"GET /v1/models HTTP/1.1\n", "GET  /v1/models HTTP/1.1\r\n",
		"GET /v1/models  HTTP/1.1\r\n", " GET /v1/models HTTP/1.1\r\n", "GET\t/v1/models\tHTTP/1.1\r\n",
		"GET /v1/models HTTP/1.1\x0b\r\n", "GET /v1/models HTTP/1.1 \r\n", "GET /v1/models HTTP/1.2\r\n",
		"GET /v1/models HTTP/2.0\r\n", "GET /v1/models HTTP/0.9\r\n", "GET /v1/models\r\n",
		"get /v1/models HTTP/1.1\r\n", "\r\nGET /v1/models HTTP/1.1\r\n", "GET /v1/models http/1.1\r\n"} {
		list = append(list, line+canaries+"Content-Length: 5\r\n\r\nhello"+inner)
	}
	return list
}

// smuggling sends each of them and counts the upstream's requests: at most one for
// each, and never the one inside.
func smuggling(r *rig) {
	list := smugglers()
	var mu sync.Mutex
	seen := make(map[string]int)
	s := scripted(r, func(c *turn) {
		for {
			req, _, err := c.request()
			if err != nil {
				if req == nil && err != io.EOF && !strings.Contains(err.Error(), "reset") &&
					!strings.Contains(err.Error(), "closed") {
					r.Errorf("the relay wrote something that is not HTTP: %v", err)
				}
				return
			}
			if strings.Contains(req.URL.Path, "smuggled") && req.Header.Get("X") != "honest" {
				r.Errorf("upstream saw the request inside another: %v", req.URL)
			}
			if te := req.TransferEncoding; len(te) > 0 && !slices.Equal(te, []string{"chunked"}) ||
				len(req.Header["Transfer-Encoding"]) > 0 {
				r.Errorf("upstream saw Transfer-Encoding %q %q", te, req.Header["Transfer-Encoding"])
			}
			mu.Lock()
			seen[req.Header.Get("X-Case")]++
			mu.Unlock()
			c.say("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
		}
	})
	r.start(s.URL)
	var passed atomic.Int64
	var wait sync.WaitGroup
	turns := make(chan bool, 20)
	for i, raw := range list {
		raw = strings.Replace(raw, canaries, canaries+fmt.Sprintf("X-Case: %d\r\n", i), 1)
		w := r.dial()
		turns <- true
		wait.Go(func() {
			defer func() { <-turns }()
			defer w.Close()
			w.say(raw)
			// Some are incomplete, so that the relay rightly waits.
			_ = w.SetDeadline(time.Now().Add(time.Second))
			if a := w.response("POST"); a.err == nil && a.status < 400 {
				passed.Add(1)
			}
			_, _ = io.Copy(io.Discard, w)
		})
	}
	wait.Wait()
	mu.Lock()
	for id, n := range seen {
		if n > 1 || id == "" {
			r.Errorf("upstream saw case %q %d times", id, n)
		}
	}
	mu.Unlock()
	r.idle(cap(turns))
	r.note(fmt.Sprintf("%d mutations, %d of them valid requests, none smuggled another", len(list), passed.Load()))
	if a := r.send("POST", chatPath, chat); a.status != 200 || a.body != "{}" {
		r.Errorf("an honest request afterwards: %v", a)
	}
}

func paths(r *rig) {
	for _, path := range []string{
		"//v1/models", "/v1//models", "/v1/../x", "/v1/%2e%2e/x", "/v1/.%2E/x", "/v1/./models", "/v1/%2e/models",
		"/v1/a%2f..%2fb", "/v1/..%2Fb", "/v1/a%2f%2e%2e%2f%2e%2e%2fx", "/v1/%2fb", "/v1/a%2f%2fb", "/v1/a%2f",
		"/v1/%252e%252e/x", "/v1/a%252f..%252fb", "/v1%2fmodels", "/%2fv1/models", "/v1/a%5cb", "/v1/a%00b",
		"/v1/a;x=y", "/v1/a%3bb", "/v1/a%23b", "/v1/a%3fb",
		"/v1/%c0%ae%c0%ae/x", "/v1/%c0%afx", "/v1/%ff", "/v1/%0d%0aX:y", "/v1/%7f", "/v2/models", "/", "/v1",
		"/etc/passwd", "/v1x/models",
	} {
		a := r.sendTo("GET", path)
		if path == "/" {
			if a.status != 200 || !strings.Contains(a.body, "<html") {
				r.Errorf("/: got %v, want the page", a.status)
			}
			continue
		}
		if a.status != http.StatusBadRequest && a.status != http.StatusNotFound && !r.isCleaned(a) {
			r.Errorf("%s: got %v, want 400 or 404", path, a)
		}
	}
	if r.is(relays...) {
		for _, path := range []string{`/v1/a\b`, "/v1/a#b", "/v1/a b", "/v1/\xff", "/v1/%zz", "v1/models", "/v1/\x01"} {
			if a := r.raw("GET " + path + " HTTP/1.1\r\n" + canaries + "\r\n"); a.status != http.StatusBadRequest &&
				a.status != http.StatusNotFound {
				r.Errorf("%q: got %v, want 400 or 404", path, a)
			}
		}
	}
	r.wantUpstream(0)
	// An id may have a slash, which stays encoded.
	for i, path := range []string{"/v1/models/org%2Fmodel", "/v1/models/a%2fb%2Fc?x=%2f..%2f"} {
		if a := r.sendTo("GET", path); a.header.Get("X-Relay") == "" ||
			!strings.HasSuffix(a.header.Get("X-Relay"), "origin=upstream") {
			r.Errorf("%s: got %v, want the API's response", path, a)
			continue
		}
		if got := r.Wait(r, i+1).RequestURI; got != path {
			r.Errorf("upstream saw %s, want %s", got, path)
		}
	}
}

// isCleaned reports whether a response is the redirect with which Google's framework
// cleans a path, within the function.
func (r *rig) isCleaned(a response) bool {
	location := a.header.Get("Location")
	return r.is(gcf) && a.status == http.StatusTemporaryRedirect && strings.HasPrefix(location, "/") &&
		!strings.Contains(location, "//") && !strings.Contains(location, "..")
}

func targets(r *rig) {
	for _, target := range []string{"http:v1/x", "x:opaque", "*", "evil.example:443", "ftp://a/v1/models",
		"//evil.example/v1/models", "@evil.example/v1/models"} {
		for _, method := range []string{"GET", "OPTIONS"} {
			if a := r.raw(method + " " + target + " HTTP/1.1\r\n" + canaries + "\r\n"); a.status < 400 ||
				a.status > 404 {
				r.Errorf("%s %s: got %v, want 400", method, target, a)
			}
		}
	}
	r.wantUpstream(0)
	// An absolute target is a request to the relay; its host goes nowhere.
	if a := r.raw("GET http://127.0.0.1/v1/models HTTP/1.1\r\n" + canaries + "\r\n"); a.status != 200 {
		r.Errorf("absolute: got %v", a)
	}
	if req := r.Wait(r, 1); "http://"+req.Host != r.URL || req.RequestURI != "/v1/models" {
		r.Errorf("upstream saw %s for %s", req.RequestURI, req.Host)
	}
}

func methods(r *rig) {
	list := []string{"TRACE", "FOO", "PROPFIND", "get", "PRI"}
	if r.is(relays...) {
		list = append(list, "CONNECT", strings.Repeat("X", 8<<10))
	}
	for _, method := range list {
		var a response
		if method == "PRI" || method == "CONNECT" || len(method) > 100 {
			if !r.is(relays...) {
				continue
			}
			a = r.raw(method + " /v1/models HTTP/1.1\r\n" + canaries + "\r\n")
		} else {
			a = r.send(method, "/v1/models", "")
		}
		if a.status != http.StatusMethodNotAllowed && a.status != http.StatusNotImplemented &&
			a.status != http.StatusBadRequest {
			r.Errorf("%.20s: got %v, want 405", method, a)
		}
	}
	r.wantUpstream(0)
}

func otherUpgrades(r *rig) {
	for i, headers := range []string{"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" +
		"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n", "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n",
		"Connection: Upgrade\r\nUpgrade: x\r\n"} {
		if a := r.raw("GET /v1/models HTTP/1.1\r\n" + canaries + headers + "\r\n"); a.status != 200 {
			r.Errorf("%q: got %v, want a response", headers, a)
		}
		if h := r.Wait(r, i+1).Header; h.Get("Upgrade") != "" || h.Get("Connection") != "" ||
			h.Get("Http2-Settings") != "" {
			r.Errorf("upstream saw %v", h)
		}
	}
}

func queries(r *rig) {
	n := 0
	for _, query := range []string{"a=1;b=2", "%zz", "a=%", "a=%2", "&&&", "=", "a=1&a=2", "+%20+", "?", "a=/../",
		"a=http://evil", "%00", strings.Repeat("a=b&", 1500)} {
		a := r.sendTo("GET", "/v1/models?"+query)
		if a.status == http.StatusRequestURITooLong || a.status == http.StatusBadRequest && r.is(lambdas...) &&
			query == "%00" {
			continue
		}
		n++
		if got := r.Wait(r, n).RequestURI; a.status != 200 || got != "/v1/models?"+query {
			r.Errorf("%.40q: got %d, upstream saw %.100q", query, a.status, got)
		}
	}
	for _, query := range []string{strings.Repeat("a=b&", 20_000/2), strings.Repeat("x", 100<<10)} {
		a := r.sendTo("GET", "/v1/models?"+query)
		if r.is(worker) && len(query) > 64<<10 && a.status == http.StatusRequestURITooLong {
			continue // the runtime's own refusal
		}
		r.wantError(a, http.StatusRequestURITooLong, "uri_too_long")
	}
	r.wantUpstream(n)
}

func controls(r *rig) {
	for _, header := range []string{"X: a\x00b", "X: a\x01b", "X: a\x7fb", "X\x00: a", "X y: a", "X\x7f: a", "X: a\rb",
		"Content-Type: text/html\r\n\tx", ": a", "X"} {
		a := r.raw("GET /v1/models HTTP/1.1\r\n" + canaries + header + "\r\n\r\n")
		if strings.Contains(fmt.Sprint(a.header, a.body), "a\x00b") {
			r.Errorf("%q: echoed: %v", header, a)
		}
		if a.status == 200 {
			for name, values := range r.Last().Header {
				if strings.ContainsAny(name+strings.Join(values, ""), "\r\n\x00") {
					r.Errorf("%q: upstream saw %q: %q", header, name, values)
				}
			}
		} else if a.status != http.StatusBadRequest {
			r.Errorf("%q: got %v, want 400", header, a)
		}
	}
	for _, header := range []string{"Origin", "X-Request-Id", "X-Client-Request-Id", "Access-Control-Request-Headers"} {
		a := r.raw("OPTIONS /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://a.example\r\n" +
			"Access-Control-Request-Method: GET\r\n" + header + ": a\tb\r\nX-Injected: x\r\n\r\n")
		if a.header.Get("X-Injected") != "" {
			r.Errorf("%s: split: %v", header, a.header)
		}
	}
	r.noise(torture.Pick(500, 10_000))
}

// noise sends requests with mutated bytes. Every error of the relay itself must be
// in OpenAI's shape.
func (r *rig) noise(n int) {
	r.Helper()
	var refused, passed, closed atomic.Int64
	var wait sync.WaitGroup
	turns := make(chan bool, 10)
	for range n {
		raw := []byte(post(chatPath, chat))
		for range 1 + rand.IntN(3) {
			at := rand.IntN(len(raw))
			switch rand.IntN(4) {
			case 0:
				raw[at] = byte(rand.IntN(256))
			case 1:
				raw = slices.Delete(raw, at, min(len(raw), at+1+rand.IntN(20)))
			case 2:
				raw = slices.Insert(raw, at, raw[at:min(len(raw), at+1+rand.IntN(20))]...)
			case 3:
				raw = slices.Insert(raw, at, []byte("\r\n")...)
			}
		}
		w := r.dial()
		turns <- true
		wait.Go(func() {
			defer func() { <-turns }()
			defer w.Close()
			w.say(string(raw))
			// Some are incomplete, so that the relay rightly waits.
			_ = w.SetDeadline(time.Now().Add(200 * time.Millisecond))
			res, err := http.ReadResponse(w.Reader, nil)
			if err != nil {
				closed.Add(1)
				return
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			switch {
			case res.Header.Get("X-Relay-Error") != "":
				refused.Add(1)
				r.wantError(response{res.StatusCode, res.Header, string(body), err}, res.StatusCode, "")
				r.received(res.Header, body)
			case res.Header.Get("X-Relay") == "" && res.StatusCode < 400:
				r.Errorf("%q: got %d", raw, res.StatusCode)
			default:
				passed.Add(1)
			}
		})
	}
	wait.Wait()
	r.idle(cap(turns))
	r.wantNext()
	r.note(fmt.Sprintf("%d requests with mutated bytes: %d refused in OpenAI's shape, %d forwarded, or refused by "+
		"net/http with a 400, %d closed", n, refused.Load(), passed.Load(), closed.Load()))
}

// wrongTokens compares the responses to wrong tokens, and the time they take.
func wrongTokens(r *rig) {
	tokens := []string{"", "x", canaryToken[:10], canaryToken + "x", strings.Repeat("y", 20_000),
		"sha256:" + strings.Repeat("0", 64)}
	var first response
	for i, token := range tokens {
		a := r.send("POST", chatPath, chat, "X-Relay-Token", token, "Authorization", "Bearer sk-other")
		r.wantError(a, http.StatusUnauthorized, "invalid_access_token")
		if i == 0 {
			first = a
		}
		if a.body != first.body || token != "" && strings.Contains(fmt.Sprint(a.header), token) {
			r.Errorf("%.20q: got %v, want the same response as to none", token, a)
		}
	}
	if r.is(servers...) { // a header of a mebibyte is over everybody's limit
		if a := r.raw("POST " + chatPath + " HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Relay-Token: " + strings.Repeat("z",
			1<<20) + "\r\nContent-Length: 0\r\n\r\n"); a.err == nil && a.status != http.StatusUnauthorized &&
			a.status != http.StatusRequestHeaderFieldsTooLarge {
			r.Errorf("a mebibyte: got %v", a)
		}
	}
	r.wantUpstream(0)
	if !r.is(local) {
		return
	}
	// By chance one measurement in 400 differs by three; a real difference shows each
	// time.
	n := torture.Pick(500, 10_000)
	var all []float64
	for range 3 {
		all = append(all, r.tokenTimes(n))
		if all[len(all)-1] < 3 {
			r.note(fmt.Sprintf("%d samples: the means for a token wrong at its end and one wrong at its start "+
				"differ by %.1f σ", n, all[len(all)-1]))
			return
		}
	}
	r.Errorf("means differ by %.1f σ", all)
}

// tokenTimes returns by how many standard deviations the mean times of two tokens
// differ: one that is wrong at its end, and one at its beginning.
func (r *rig) tokenTimes(n int) float64 {
	r.Helper()
	near, far := canaryToken[:len(canaryToken)-1]+"X", "X"+canaryToken[1:]
	var times [2][]float64
	for range n {
		for _, token := range rand.Perm(2) {
			begun := time.Now()
			r.send("GET", "/v1/models", "", "X-Relay-Token", []string{near, far}[token], "Authorization",
				"Bearer sk-other")
			times[token] = append(times[token], time.Since(begun).Seconds())
		}
	}
	m0, s0 := moments(times[0])
	m1, s1 := moments(times[1])
	return math.Abs(m0-m1) / math.Sqrt(s0*s0/float64(n)+s1*s1/float64(n))
}

// moments returns the mean and the standard deviation of all but the slowest
// tenth, which is the machine's.
func moments(x []float64) (mean, deviation float64) {
	slices.Sort(x)
	x = x[:len(x)*9/10]
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		deviation += (v - mean) * (v - mean) / float64(len(x))
	}
	return mean, math.Sqrt(deviation)
}

func pathTokens(r *rig) {
	for _, path := range []string{"/t/wrong/v1/models", "/t//v1/models", "/t/%2f/v1/models", "/t/../v1/models",
		"/t/" + canaryToken + "x/v1/models", "/t/wrong/t/" + canaryToken + "/v1/models",
		"/t/" + canaryToken + "%2f/v1/models", "/t/" + canaryToken + "%2fv1/models",
		"/t%2f" + canaryToken + "/v1/models", "/t/" + canaryToken + "/..%2fv1/models",
		"/t/x%2f..%2f" + canaryToken + "/v1/models", "/t/" + canaryToken + "/v1%2fmodels"} {
		if a := r.sendTo("GET", path, "X-Relay-Token", ""); a.status != http.StatusUnauthorized &&
			a.status != http.StatusBadRequest && a.status != http.StatusNotFound && !r.isCleaned(a) {
			r.Errorf("%s: got %v, want 401", path, a)
		}
	}
	r.wantUpstream(0)
	if a := r.send("GET", "/t/"+canaryToken+"/v1/models", "", "X-Relay-Token", ""); a.status != 200 {
		r.Errorf("the right one: %v", a)
	}
	if got := r.Wait(r, 1).RequestURI; got != "/v1/models" {
		r.Errorf("upstream saw %s", got)
	}
}

func preflights(r *rig) {
	names := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf("x-name-%d", i))
		}
		return strings.Join(list, ", ")
	}
	for _, test := range []struct {
		name, origin, headers string
		status                int
	}{
		{"good", "https://a.example", "authorization, content-type, x-stainless-os", 204},
		{"null origin", "null", "authorization", 204},
		{"200 names", "https://a.example", names(200), 0},
		{"illegal", "https://a.example", "a b, <script>, \"x\"", 0},
		{"16 KiB", "https://a.example", strings.Repeat("x", 16<<10), 0},
	} {
		a := r.send("OPTIONS", chatPath, "", "X-Relay-Token", "", "Authorization", "", "Origin", test.origin,
			"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", test.headers)
		if a.err != nil || a.status >= 500 || test.status != 0 && a.status != test.status {
			r.Errorf("%s: got %v", test.name, a)
		}
		allowed := a.header.Get("Access-Control-Allow-Headers")
		if strings.ContainsAny(allowed, "<>\" b") && test.name == "illegal" || len(allowed) > 4<<10 ||
			strings.Count(allowed, ",") >= 64 {
			r.Errorf("%s: reflected %.100q", test.name, allowed)
		}
		if a.header.Get("Access-Control-Allow-Credentials") != "" {
			r.Errorf("%s: credentials", test.name)
		}
	}
	r.wantUpstream(0)
}

func rebinding(r *rig) {
	for _, host := range []string{"evil.example", "evil.example:80", "127.0.0.1.evil.example", "169.254.169.254",
		"localhost.evil.example", ""} {
		for _, path := range []string{"/v1/models", "/", "/relay/health"} {
			a := r.raw("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Bearer " + canaryKey +
				"\r\nX-Relay-Token: " + canaryToken + "\r\n\r\n")
			if host == "" && path == "/relay/health" && a.status == http.StatusOK {
				continue // a load balancer's check: no browser sends an empty Host
			}
			if a.status != http.StatusForbidden && a.status != http.StatusBadRequest {
				r.Errorf("%q %s: got %d, want 403", host, path, a.status)
			}
		}
	}
	r.wantUpstream(0)
}

// loop makes the relay its own upstream, through an address that is known before it
// starts.
func loop(r *rig) {
	var itself atomic.Pointer[string]
	s := scripted(r, func(c *turn) {
		defer c.Close()
		to, err := net.Dial("tcp", strings.TrimPrefix(*itself.Load(), "http://"))
		if err != nil {
			return
		}
		defer to.Close()
		go func() { _, _ = io.Copy(to, c) }()
		_, _ = io.Copy(c.TCPConn, to)
	})
	r.start(strings.Replace(s.URL, "http://", "http://rt_"+canaryToken+"@", 1))
	itself.Store(&r.base)
	a := r.send("POST", chatPath, chat)
	r.wantError(a, http.StatusLoopDetected, "relay_loop")
	if n := s.conns.Load(); n > 3 {
		r.Errorf("the request came back %d times, want 2", n)
	}
}

func overrides(r *rig) {
	a := r.send("POST", chatPath, chat, "X-Http-Method-Override", "DELETE", "X-Http-Method", "DELETE",
		"X-Method-Override", "DELETE", "X-Original-Url", "/admin", "X-Rewrite-Url", "/admin", "X-Original-Host", "evil")
	if a.status != 200 {
		r.Errorf("got %v", a)
	}
	req := r.Wait(r, 1)
	for name := range req.Header {
		if strings.Contains(name, "Override") || strings.Contains(name, "Original") ||
			strings.Contains(name, "Rewrite") || name == "X-Http-Method" {
			r.Errorf("upstream got %s", name)
		}
	}
	if req.Method != "POST" || req.RequestURI != chatPath {
		r.Errorf("upstream saw %s %s", req.Method, req.RequestURI)
	}
}

func requestTrailers(r *rig) {
	a := r.raw("POST " + chatPath + " HTTP/1.1\r\n" + canaries +
		"Transfer-Encoding: chunked\r\nTrailer: Authorization, X-T\r\n\r\n" +
		fmt.Sprintf("%x\r\n%s\r\n0\r\nAuthorization: Bearer sk-evil\r\nX-T: t\r\n\r\n", len(chat), chat))
	if a.status != 200 {
		r.Errorf("got %v", a)
	}
	req := r.Wait(r, 1)
	if len(req.Trailer) > 0 || req.Header.Get("Trailer") != "" ||
		!slices.Equal(req.Header["Authorization"], []string{"Bearer " + canaryKey}) {
		r.Errorf("upstream saw %v, trailers %v", req.Header, req.Trailer)
	}
}

// caching sends the same cacheable request with two keys.
func caching(r *rig) {
	for _, key := range []string{"sk-one", "sk-two"} {
		a := r.send("GET", "/v1/models", "", "Authorization", "Bearer "+key, "If-None-Match", `"x"`, "Range",
			"bytes=0-1", "If-Modified-Since", time.Now().UTC().Format(http.TimeFormat))
		if a.status != 200 || !strings.Contains(a.header.Get("Cache-Control"), "no-store") {
			r.Errorf("%s: got %v with Cache-Control %q", key, a, a.header.Get("Cache-Control"))
		}
	}
	for i, key := range []string{"sk-one", "sk-two"} {
		if h := r.Wait(r, i+1).Header; h.Get("Authorization") != "Bearer "+key || h.Get("Range") != "bytes=0-1" {
			r.Errorf("upstream saw %v", h)
		}
	}
	r.wantUpstream(2)
}
