package core

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"example.com/relay/core/failover"
)

// identifying are request headers that must not reach the upstream.
var identifying = []string{
	"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Anything", "X-Real-Ip",
	"X-Client-Ip",
	"True-Client-Ip", "X-Cluster-Client-Ip", "Fastly-Client-Ip", "Cf-Connecting-Ip", "Cf-Ray", "Cf-Ipcountry",
	"Cdn-Loop",
	"X-Amzn-Trace-Id", "X-Amzn-Oidc-Data", "X-Amz-Cf-Id", "X-Vercel-Id", "X-Vercel-Forwarded-For",
	"X-Vercel-Oidc-Token",
	"X-Now-Route-Matches", "X-Cloud-Trace-Context", "Traceparent", "Tracestate", "Baggage", "X-Appengine-User-Ip",
	"Function-Execution-Id", "X-Envoy-External-Address", "Via", "Referer", "Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode",
	"Sec-Ch-Ua", "Sec-Ch-Ua-Platform", "Sec-Gpc", "Dnt", "Priority", "Cookie", "X-Http-Method-Override",
	"X-Original-Url",
	"X-Rewrite-Url", "X_Relay_Token", "Content_Length", "X-Relay-Token", "X_Forwarded-For", "Cf_Connecting_Ip",
	"Api_key", "X_api_key", "X-Goog_Api_key", "Openai_Organization", "Content_Type", "Content_Encoding",
	"Accept_Encoding",
	"Authorization_", "_cookie", "Sec_Websocket_Protocol", "Sec-Websocket_Key", "Service_Worker", "Relay_Hop",
	"Transfer_Encoding", "X_Http_Method_Override", "X-Relay-Anything",
	"Proxy-Authorization", "Proxy-Connection", "Keep-Alive", "Te", "Http2-Settings", "X-Serverless-Authorization",
}

func TestRequestHeaders(t *testing.T) {
	f := newFront(t, ok, nil)
	var raw strings.Builder
	raw.WriteString("POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n")
	for i, name := range identifying {
		if i%2 == 1 {
			name = strings.ToLower(name)
		}
		raw.WriteString(name + ": leak\r\n")
	}
	pass := map[string]string{
		"Authorization": "Bearer " + canaryKey, "Openai-Organization": "org-1", "Openai-Project": "proj_1",
		"Openai-Beta":         "assistants=v2",
		"X-Client-Request-Id": "r-1", "X-Stainless-Lang": "go", "X-Stainless-Retry-Count": "0",
		"Idempotency-Key": "i-1",
		"User-Agent":      "OpenAI/Go 3", "Accept": "application/json", "Accept-Encoding": "gzip, br, zstd",
		"Accept-Language": "de",
		"Content-Type":    "application/json", "Content-Encoding": "zstd", "Range": "bytes=0-1",
		"If-None-Match": `"a,b"`,
		"X-Custom":      "kept", "Session_id": "s-1", "Conversation_id": "c-1", "X-Under_score": "kept",
		"Cf-Aig-Authorization": "Bearer g",
		"Cf-Aig-Metadata":      "{}", "Cf_aig_cache_ttl": "60", "X_stainless_lang": "go",
	}
	for name, value := range pass {
		raw.WriteString(name + ": " + value + "\r\n")
	}
	raw.WriteString("\r\n{}")
	if res, body := sendRaw(t, f.URL, raw.String()); res.StatusCode != 200 {
		t.Fatalf("status %d: %s", res.StatusCode, body)
	}
	got := f.only(t).Header
	for name, value := range pass {
		if got.Get(name) != value {
			t.Errorf("%s = %q upstream, want %q", name, got.Get(name), value)
		}
	}
	expected := slices.Collect(maps.Keys(pass))
	expected = append(expected, "Content-Length", "Relay-Hop")
	for name, values := range got {
		if !slices.Contains(expected, name) {
			t.Errorf("upstream got %s: %q", name, values)
		}
	}
}

func TestHeadersThatAreNotAdded(t *testing.T) {
	f := newFront(t, ok, nil)
	sendRaw(t, f.URL, "GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n")
	for name, values := range f.only(t).Header {
		if name != "Relay-Hop" {
			t.Errorf("a request without headers got %s: %q", name, values)
		}
	}
}

func TestHopsAreCountedForPossibleRelaysOnly(t *testing.T) {
	for host, want := range map[string]bool{
		"api.openai.com": true, "us.api.openai.com": true, "API.OPENAI.COM": true,
		"openai.com.evil.example": false, "evilapi.openai.com.example": false, "relay.example": false,
		"127.0.0.1": false,
	} {
		if got := failover.IsOfficial(host); got != want {
			t.Errorf("failover.IsOfficial(%q) = %t, want %t", host, got, want)
		}
	}
}

func TestConnectionCannotDropWhatMatters(t *testing.T) {
	for _, connection := range []string{
		"authorization, x-relay-token, host, content-type",
		"AUTHORIZATION\r\nConnection: X-Relay-Token",
		"keep-alive, Authorization, x-custom",
	} {
		f := newFront(t, ok, func(cfg *Config) { cfg.AccessTokens = []Secret{canaryToken} })
		res, _ := sendRaw(t, f.URL, "GET /v1/models HTTP/1.1\r\nHost: h\r\nX-Relay-Token: "+canaryToken+
			"\r\nAuthorization: Bearer "+canaryKey+"\r\nX-Custom: 1\r\nConnection: "+connection+"\r\n\r\n")
		if res.StatusCode != 200 {
			t.Fatalf("%q: status %d", connection, res.StatusCode)
		}
		h := f.only(t).Header
		if h.Get("Authorization") != "Bearer "+canaryKey {
			t.Errorf("%q: upstream got Authorization %q", connection, h.Get("Authorization"))
		}
		if strings.Contains(strings.ToLower(connection), "x-custom") != (h.Get("X-Custom") == "") {
			t.Errorf("%q: upstream got X-Custom %q", connection, h.Get("X-Custom"))
		}
	}
	// Nor can the upstream make the relay drop its own.
	f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "x-relay, x-secret, cache-control")
		w.Header().Set("X-Secret", "1")
		w.Header().Set("X-Relay", "forged; origin=upstream")
	}, nil)
	res, _ := send(t, "GET", f.URL+"/v1/models", "")
	if got := res.Header.Get("X-Relay"); got != "relay; origin=upstream" {
		t.Errorf("X-Relay = %q", got)
	}
	if got := res.Header.Get("X-Secret"); got != "" {
		t.Errorf("X-Secret = %q, want none", got)
	}
}

func TestResponseHeaders(t *testing.T) {
	f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		for _, name := range []string{
			"Set-Cookie", "Alt-Svc", "Strict-Transport-Security", "Report-To", "Nel", "Server",
			"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Access-Control-Allow-Credentials",
			"Keep-Alive",
		} {
			h.Set(name, "leak")
		}
		h.Add("X-List", "a")
		h.Add("X-List", "b")
		h.Set("X-Request-Id", "req_1")
		h.Set("Openai-Processing-Ms", "12")
		h.Set("X-Ratelimit-Remaining-Requests", "9")
		h.Set("Retry-After-Ms", "20")
		h.Set("Cf-Ray", "8f")
		h.Set("Vary", "Accept")
		h.Set("Content-Encoding", "br")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = w.Write([]byte("opaque"))
	}, nil)
	res, body := send(t, "GET", f.URL+"/v1/models", "")
	if res.StatusCode != 429 || body != "opaque" {
		t.Errorf("got %d %q", res.StatusCode, body)
	}
	want := map[string]string{
		"X-List": "a|b", "X-Request-Id": "req_1", "Openai-Processing-Ms": "12", "X-Ratelimit-Remaining-Requests": "9",
		"Retry-After-Ms": "20", "Cf-Ray": "8f", "Vary": "Accept", "Content-Encoding": "br", "Content-Length": "6",
		"Cache-Control": "no-store", "X-Relay": "relay; origin=upstream",
		"Content-Security-Policy": "sandbox; default-src 'none'", "X-Content-Type-Options": "nosniff",
	}
	for name, values := range res.Header {
		if value := strings.Join(values, "|"); name != "Date" && value != want[name] {
			t.Errorf("%s = %q, want %q", name, value, want[name])
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("no %s", name)
	}
}

func TestContentTypeIsNotGuessed(t *testing.T) {
	f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		_, _ = io.WriteString(w, "<html>")
	}, nil)
	if res, _ := send(t, "GET", f.URL+"/v1/models", ""); len(res.Header["Content-Type"]) != 0 {
		t.Errorf("Content-Type = %q, which the upstream did not send", res.Header["Content-Type"])
	}
}

func TestCacheControl(t *testing.T) {
	tests := []struct{ contentType, sent, want string }{
		{"application/json", "", "no-store"},
		{"application/json", "max-age=5", "max-age=5"},
		{"text/event-stream", "", "no-store, no-transform"},
		{"text/event-stream; charset=utf-8", "no-cache", "no-cache, no-transform"},
		{"text/event-stream", "no-cache, No-Transform", "no-cache, No-Transform"},
	}
	for _, test := range tests {
		f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", test.contentType)
			if test.sent != "" {
				w.Header().Set("Cache-Control", test.sent)
			}
		}, nil)
		res, _ := send(t, "GET", f.URL+"/v1/models", "")
		if got := res.Header.Get("Cache-Control"); got != test.want {
			t.Errorf("%s, %q: Cache-Control = %q, want %q", test.contentType, test.sent, got, test.want)
		}
		if got, want := res.Header.Get("X-Accel-Buffering") == "no",
			strings.HasPrefix(test.contentType, "text/event"); got != want {
			t.Errorf("%s: X-Accel-Buffering no: %t, want %t", test.contentType, got, want)
		}
	}
}

// A redirect leads through the relay again: with the token that the client has in its
// path, and without the base path, which the relay adds.
func TestRedirectsKeepTheTokenAndLoseTheBase(t *testing.T) {
	const token = "/t/" + canaryToken
	for _, test := range []struct{ base, path, location, want string }{
		{"", "/v1/models", "/v1/other?a#b", "/v1/other?a#b"},
		{"/base", "/v1/models", "/base/v1/other?a=%zz&;", "/v1/other?a=%zz&;"},
		{"/base", "/v1/models", "UPSTREAM/base/v1/other", "/v1/other"},
		{"/base", "/v1/models", "//HOST/base/v1/a%2Fb", "/v1/a%2Fb"},
		{"/base/v1", "/v1/models", "/base/v1/other", "/v1/other"},
		{"/base", "/v1/models", "/v1/other", "/v1/other"}, // the API does not know of its base path
		{"/base", "/v1/models", "/based/v1/other", "/based/v1/other"},
		{"/base", "/v1/models", "other?x", "other?x"},
		{"/base", "/v1/models", "?page=2", "?page=2"},
		{"/base", "/v1/models", "UPSTREAM/base", "/"},
		{"/base", "/v1/models", "UPSTREAM?x", "/?x"},
		{"", token + "/v1/models", "/v1/other", token + "/v1/other"},
		{"/base", token + "/v1/models", "UPSTREAM/base/v1/other?x", token + "/v1/other?x"},
		{"/base", token + "/v1/models", "other", "other"}, // which is relative to the path with the token
		{"/base", token + "/v1/models", "https://evil.example/base/v1/other", ""},
		{"/base", token + "/v1/models", "/base//evil.example", ""},
		{"/base", token + "/v1/models", "/base/../v1", ""},
		{"/base", token + "/v1/models", "https://HOST:1/v1", ""},
	} {
		u := newFront(t, func(w http.ResponseWriter, req *http.Request) {
			location := strings.NewReplacer("UPSTREAM", "http://"+req.Host, "HOST", req.Host).Replace(test.location)
			w.Header()["Location"] = []string{location}
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, nil)
		f := &front{log: new(lockedBuffer)}
		f.start(t, u.upstream.URL+test.base, func(cfg *Config) {
			cfg.AccessTokens, cfg.PathTokens = []Secret{canaryToken}, true
		})
		headers := []string{"X-Relay-Token", canaryToken}
		if strings.HasPrefix(test.path, "/t/") {
			headers = nil
		}
		res, _ := send(t, "GET", f.URL+test.path, "", headers...)
		if got := res.Header.Get("Location"); res.StatusCode != 307 || got != test.want {
			t.Errorf("base %q, path %q, Location %q: %d %q, want %q", test.base, test.path, test.location,
				res.StatusCode, got, test.want)
		}
		if log := f.log.String(); strings.Contains(log, canaryToken) {
			t.Errorf("the token is logged: %s", log)
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	tests := []struct{ location, want string }{
		{"https://evil.example/v1/models", ""},
		{"//evil.example/x", ""},
		{"data:text/html,x", ""},
		{"///evil.example/x", ""},
		{`/\evil.example/x`, ""},
		{`\\evil.example/x`, ""},
		{"UPSTREAM//evil.example/x", ""},
		{"/v1/../../x", ""},
		{"/v1/other?a=b", "/v1/other?a=b"},
		{"other", "other"},
		{"UPSTREAM/v1/files/x?y=1", "/v1/files/x?y=1"},
	}
	for _, test := range tests {
		f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
			w.Header()["Location"] = []string{strings.Replace(test.location, "UPSTREAM", "http://"+req.Host, 1)}
			w.WriteHeader(http.StatusFound)
		}, nil)
		res, _ := send(t, "GET", f.URL+"/v1/models", "", "Authorization", "Bearer "+canaryKey)
		if res.StatusCode != 302 || res.Header.Get("Location") != test.want {
			t.Errorf("Location %q: got %d %q, want 302 %q", test.location, res.StatusCode, res.Header.Get("Location"),
				test.want)
		}
		f.only(t)
	}
}

// Some servers say that they use no transfer coding. One that the relay has not asked for
// is refused.
func TestTransferEncodingsOfTheAPI(t *testing.T) {
	const status = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	for _, test := range []struct {
		raw  string
		want int
	}{
		{status + "Transfer-Encoding: identity\r\n\r\n{}", 200},
		{status + "transfer-encoding:IDENTITY \r\nContent-Length: 2\r\n\r\n{}", 200},
		{status + "Content-Length: 2\r\nTransfer-Encoding: identity\r\nX-Last: 1\r\n\r\n{}", 200},
		{status + "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 502},
		{status + "Transfer-Encoding: identity, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 502},
		{status + "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 502},
	} {
		f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
			hijack(t, w, test.raw).Close()
		}, nil)
		res, body := send(t, "POST", f.URL+"/v1/models", "{}")
		if res.StatusCode != test.want || test.want == 200 && body != "{}" || res.Header.Get("Te") != "" {
			t.Errorf("%q: %d %q %v, want %d", test.raw, res.StatusCode, body, res.Header, test.want)
		}
		f.only(t)
	}
}

// FuzzHeaderPolicy: no header gets up whose name, in any spelling, is on the
// drop list, whatever else the request says.
func FuzzHeaderPolicy(f *testing.F) {
	for _, name := range identifying {
		f.Add(name, "v", "keep-alive")
	}
	f.Add("Authorization", "Bearer x", "authorization")
	f.Add("x-relay-token", "t", "X-Relay-Token, \x00,,")
	f.Add("-X-RelAY-0", "0", "0") // another name for everyone
	f.Fuzz(func(t *testing.T, name, value, connection string) {
		in := http.Header{"Connection": {connection}, "Authorization": {"Bearer k"}}
		in.Add(name, value)
		out := outboundHeader(in)
		for got := range out {
			canonical := http.CanonicalHeaderKey(got)
			twin := http.CanonicalHeaderKey(strings.Trim(strings.ReplaceAll(got, "_", "-"), "-"))
			if strings.Contains(got, "_") && (handledUp[twin] || slices.Contains(credentialHeaders, twin)) {
				t.Errorf("%q: %q goes up, whose twin a stage handles", name, got)
			}
			if strings.Contains(got, "_") {
				canonical = twin
			}
			if strings.HasPrefix(canonical, "Cf-Aig-") || strings.HasPrefix(canonical, "X-Stainless-") {
				continue
			}
			if hopByHop[canonical] || droppedUp[canonical] ||
				slices.ContainsFunc(droppedUpPrefixes, func(p string) bool { return strings.HasPrefix(canonical, p) }) {
				t.Errorf("%q: %q goes up", name, got)
			}
		}
		if len(out["Authorization"]) == 0 {
			t.Errorf("Connection %q dropped Authorization", connection)
		}
		down := make(http.Header)
		copyResponseHeader(down, in)
		for got := range down {
			if droppedDown[got] || hopByHop[got] || strings.HasPrefix(got, "Access-Control-") {
				t.Errorf("%q: %q goes down", name, got)
			}
		}
	})
}

func TestRequestTrailersAreDropped(t *testing.T) {
	trailers := make(chan http.Header, 1)
	f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		trailers <- req.Trailer
	}, nil)
	res, _ := sendRaw(t, f.URL,
		"POST /v1/files HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n"+
			"2\r\nhi\r\n0\r\nAuthorization: Bearer "+canaryKey+"\r\n\r\n")
	if got := receive(t, trailers, "the request"); res.StatusCode != 200 || len(got) != 0 {
		t.Errorf("status %d, upstream got trailers %v", res.StatusCode, got)
	}
}
