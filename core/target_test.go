package core

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestTargetsThatAreRefused(t *testing.T) {
	f := newFront(t, ok, nil)
	tests := []struct {
		target string
		status int
		code   string
	}{
		{"/v1/../x", 400, "invalid_target"},
		{"/v1/..", 400, "invalid_target"},
		{"/v1/./models", 400, "invalid_target"},
		{"/v1/%2e%2e/x", 400, "invalid_target"},
		{"/v1/%2E%2e/x", 400, "invalid_target"},
		{"/v1/.%2e", 400, "invalid_target"},
		{"//v1/models", 400, "invalid_target"},
		{"/v1//models", 400, "invalid_target"},
		{"/v1/a%2f..%2fb", 400, "invalid_target"},
		{"/v1/a%2F%2e%2E%2f%2e%2e%2fb", 400, "invalid_target"},
		{"/v1/a%2f.", 400, "invalid_target"},
		{"/v1/..%2fb", 400, "invalid_target"},
		{"/v1/%2fb", 400, "invalid_target"},
		{"/v1/a%2f/b", 400, "invalid_target"},
		{"/v1/a%2f%2fb", 400, "invalid_target"},
		{"/v1/a%2f", 400, "invalid_target"},
		{"/%2fevil.example/x", 400, "invalid_target"},
		{"/v1/%252e%252e/x", 400, "invalid_target"}, // decoded twice
		{"/v1/a%252f..%252fb", 400, "invalid_target"},
		{"/v1/a%2f%25252e%25252e%2fb", 400, "invalid_target"},
		{"/v1%2fmodels", 404, "unknown_path"}, // no prefix holds an encoded slash
		{"/relay%2fhealth", 404, "unknown_path"},
		{"/v1/a%5cb", 400, "invalid_target"},
		{`/v1/a\b`, 400, "invalid_target"},
		{"/v1/a%00", 400, "invalid_target"},
		{"/v1/a%0d%0aX:y", 400, "invalid_target"},
		{"/v1/a;x=1", 400, "invalid_target"},
		{"/v1/a%3bx", 400, "invalid_target"},
		{"/v1/a%23b", 400, "invalid_target"},
		{"/v1/a#b", 400, "invalid_target"},
		{"/v1/a%3fb", 400, "invalid_target"},
		{"/v1/%c0%ae%c0%ae/x", 400, "invalid_target"}, // overlong ".."
		{"http:v1/models", 400, "invalid_target"},
		{"x:opaque", 400, "invalid_target"},
		{"ftp://api.openai.com/v1/models", 400, "invalid_target"},
		{"*", 400, "invalid_target"},
		{"/v2/models", 404, "unknown_path"},
		{"/v1", 404, "unknown_path"},
		{"/index.html", 404, "unknown_path"},
		{"/%76%31/models", 404, "unknown_path"}, // "/v1/", escaped without need
		{"/relay/", 404, "unknown_path"},
		{"/relay/health/", 404, "unknown_path"},
		{"/t/" + canaryToken + "/v1/models", 404, "unknown_path"}, // not opted in
	}
	for _, test := range tests {
		t.Run(test.target, func(t *testing.T) {
			res, body := sendRaw(t, f.URL, "GET "+test.target+" HTTP/1.1\r\nHost: x\r\n\r\n")
			if code := errorCode(t, res, body); res.StatusCode != test.status || code != test.code {
				t.Errorf("got %d %s, want %d %s", res.StatusCode, code, test.status, test.code)
			}
		})
	}
	f.untouched(t)
}

func TestTargetsThatAreForwardedUnchanged(t *testing.T) {
	tests := []struct{ target, want string }{
		{"/v1/models", "/v1/models"},
		{"/v1/models/", "/v1/models/"},
		{"/v1/models/ft:gpt-4o:org::id", "/v1/models/ft:gpt-4o:org::id"},
		{"/v1/a%20b", "/v1/a%20b"},
		{"/v1/%E4%BD%A0", "/v1/%E4%BD%A0"},
		{"/v1/a%252e", "/v1/a%252e"},
		{"/v1/models/org%2Fmodel", "/v1/models/org%2Fmodel"},
		{"/v1/models/org%2fmodel-1.5%2Fx?a", "/v1/models/org%2fmodel-1.5%2Fx?a"},
		{"/v1/models/a%252fb", "/v1/models/a%252fb"},
		{"/v1/files/a%21b!c", "/v1/files/a%21b!c"},
		{"/v1/models?", "/v1/models?"},
		{"/v1/models?a=1;b=2", "/v1/models?a=1;b=2"},
		{"/v1/models?a=%zz&b=2", "/v1/models?a=%zz&b=2"},
		{"/v1/models?q=../..//%00%2f\\", "/v1/models?q=../..//%00%2f\\"},
		{"/v1/models?after=a+b%20c&limit=2&&", "/v1/models?after=a+b%20c&limit=2&&"},
		{"/v1/models?" + strings.Repeat("a=1&", 1500), "/v1/models?" + strings.Repeat("a=1&", 1500)},
		{"/dashboard/billing/usage?start_date=2026-11-01", "/dashboard/billing/usage?start_date=2026-11-01"},
		{"http://other.example/v1/models?x", "/v1/models?x"}, // absolute form: its host is of no interest
	}
	for _, test := range tests {
		t.Run(test.target[:min(len(test.target), 40)], func(t *testing.T) {
			f := newFront(t, ok, nil)
			res, _ := sendRaw(t, f.URL, "GET "+test.target+" HTTP/1.1\r\nHost: spoofed.example\r\n\r\n")
			if res.StatusCode != 200 {
				t.Fatalf("status %d", res.StatusCode)
			}
			seen := f.only(t)
			if seen.RequestURI != test.want {
				t.Errorf("upstream saw %q, want %q", seen.RequestURI, test.want)
			}
			if want := strings.TrimPrefix(f.upstream.URL, "http://"); seen.Host != want {
				t.Errorf("upstream saw host %q, want %q", seen.Host, want)
			}
		})
	}
}

func TestUpstreamWithAPath(t *testing.T) {
	for _, base := range []string{"/base", "/base/", "/base/v1", "/base/v1/", "/b%20se"} {
		f := newFront(t, ok, nil)
		g := &front{log: new(lockedBuffer)}
		g.start(t, f.upstream.URL+base, nil)
		send(t, "GET", g.URL+"/v1/a%21b?q", "")
		want := strings.TrimSuffix(strings.TrimSuffix(base, "/"), "/v1") + "/v1/a%21b?q"
		if got := f.only(t).RequestURI; got != want {
			t.Errorf("base %q: upstream saw %q, want %q", base, got, want)
		}
	}
}

func TestMethods(t *testing.T) {
	f := newFront(t, ok, nil)
	for _, method := range []string{"CONNECT", "TRACE", "BREW", strings.Repeat("X", 8<<10), "get"} {
		res, body := sendRaw(t, f.URL, method+" /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
		wantError(t, res, body, errMethod)
		if res.Header.Get("Allow") == "" {
			t.Errorf("%.10s: no Allow", method)
		}
	}
	f.untouched(t)
	res, body := sendRaw(t, f.URL, "CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n\r\n")
	wantError(t, res, body, errMethod)
	f.untouched(t)

	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		f := newFront(t, ok, nil)
		res, body := send(t, method, f.URL+"/v1/models", "")
		if res.StatusCode != 200 || f.only(t).Method != method {
			t.Errorf("%s: status %d, upstream saw %s", method, res.StatusCode, f.only(t).Method)
		}
		if (body == "") != (method == "HEAD") {
			t.Errorf("%s: body %q", method, body)
		}
	}
}

func TestHosts(t *testing.T) {
	f := newFront(t, ok, func(cfg *Config) { cfg.AllowedHosts = []string{"localhost", "127.0.0.1", "::1"} })
	tests := []struct {
		host string
		want int
	}{
		{"localhost", 200},
		{"LOCALHOST:8787", 200},
		{"localhost.", 200},
		{"127.0.0.1:1", 200},
		{"[::1]:8787", 200},
		{"[::1]", 200},
		{"rebound.example", 403},
		{"127.0.0.1.rebound.example", 403},
		{"localhost.rebound.example:8787", 403},
		{"", 403},
	}
	for _, test := range tests {
		res, body := sendRaw(t, f.URL, "GET /v1/models HTTP/1.1\r\nHost: "+test.host+"\r\n\r\n")
		if res.StatusCode != test.want {
			t.Errorf("Host %q: status %d, want %d", test.host, res.StatusCode, test.want)
		}
		if test.want == 403 {
			wantError(t, res, body, errHost)
		}
	}
}

// A load balancer asks after each instance's health by its address or without a
// Host, and learns nothing else.
func TestHealthForLoadBalancers(t *testing.T) {
	f := newFront(t, ok, func(cfg *Config) {
		cfg.AllowedHosts = []string{"relay.example"}
		cfg.Upstreams = append(cfg.Upstreams, "http://127.0.0.1:1/#secret-region")
		cfg.ProbeInterval = -1
	})
	tests := []struct {
		request string
		want    int
		regions bool
	}{
		{"GET /relay/health HTTP/1.0\r\n", 200, false},
		{"GET /relay/health HTTP/1.1\r\nHost:\r\n", 200, false},
		{"GET /relay/health HTTP/1.1\r\nHost: 10.0.0.7:8787\r\n", 200, false},
		{"HEAD /relay/health HTTP/1.1\r\nConnection: close\r\nHost: [fd00::7]:8787\r\n", 200, false},
		{"GET /relay/health HTTP/1.1\r\nHost: relay.example\r\n", 200, true},
		{"GET /relay/health HTTP/1.1\r\nHost: rebound.example\r\n", 403, false},
		{"GET /relay/health HTTP/1.1\r\nHost: 10.0.0.7.rebound.example\r\n", 403, false},
		{"GET /relay/health?deep=1 HTTP/1.1\r\nHost: 10.0.0.7\r\n", 403, false},
		{"GET /relay/health?stream=1 HTTP/1.1\r\nHost: 10.0.0.7\r\n", 403, false},
		{"GET /relay/health?a=b HTTP/1.0\r\n", 403, false},
		{"GET /v1/models HTTP/1.0\r\n", 403, false},
		{"GET / HTTP/1.1\r\nHost: 10.0.0.7\r\n", 403, false},
	}
	for _, test := range tests {
		res, body := sendRaw(t, f.URL, test.request+"\r\n")
		if res.StatusCode != test.want || strings.Contains(body, "secret-region") != test.regions {
			t.Errorf("%q: got %d %s, want %d", test.request, res.StatusCode, body, test.want)
		}
	}
	f.untouched(t)

	// On this machine alone, nobody calls by another address.
	f = newFront(t, ok, func(cfg *Config) {
		cfg.AllowedHosts = []string{"127.0.0.1", "localhost", "::1", "host.docker.internal"}
	})
	for request, want := range map[string]int{
		"GET /relay/health HTTP/1.0\r\n":                               200,
		"GET /relay/health HTTP/1.1\r\nHost:\r\n":                      200,
		"GET /relay/health HTTP/1.1\r\nHost: 169.254.169.254\r\n":      403,
		"GET /relay/health HTTP/1.0\r\nHost: rebound.example\r\n":      403,
		"GET /relay/health?deep=1 HTTP/1.0\r\nUser-Agent: haproxy\r\n": 403,
	} {
		if res, _ := sendRaw(t, f.URL, request+"\r\n"); res.StatusCode != want {
			t.Errorf("%q: got %d, want %d", request, res.StatusCode, want)
		}
	}
}

// FuzzTarget: whatever target is accepted reaches the upstream as a path within
// the relayed prefixes that reads the same before and after decoding, at the
// upstream's host.
func FuzzTarget(f *testing.F) {
	for _, seed := range []string{
		"/v1/models", "/v1/../x", "/v1/%2e%2e/", "//v1/x", "/v1/a%2fb", "http:v1/x", "x:y", "*", "/v1/\\", "/v1/;a",
		"/v1/%c0%ae", "http://u:p@h/v1/x?y#z", "/v1/%", "/v1/%00", "/v1/é", "/v1/ ?", "/V1/x", "/v1/a?b?c#d",
	} {
		f.Add(seed)
	}
	var out *url.URL
	cfg := Config{LogLevel: levelOff, Transport: roundTripFunc(func(req *http.Request) (*http.Response, error) {
		out = req.URL
		return &http.Response{StatusCode: http.StatusOK, Header: make(http.Header), Body: http.NoBody}, nil
	})}.withDefaults()
	pool, err := newPool(cfg)
	if err != nil {
		f.Fatal(err)
	}
	forward := newForwarder(cfg, pool)
	stage := newTarget(Config{})
	f.Fuzz(func(t *testing.T, target string) {
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target +
			" HTTP/1.1\r\nHost: h\r\n\r\n")))
		if err != nil || stage.check(req) != nil || !strings.HasPrefix(req.URL.EscapedPath(), "/v1/") {
			return
		}
		x := &exchange{forwarder: forward, ctx: t.Context(), w: httptest.NewRecorder(), req: req}
		if err := x.send(); err != nil {
			t.Fatal(err)
		}
		if out.Scheme != "https" || out.Host != "api.openai.com" || out.User != nil || out.Opaque != "" {
			t.Fatalf("%q leads to %v", target, out)
		}
		again, err := url.ParseRequestURI(out.RequestURI())
		if err != nil {
			t.Fatalf("%q is sent as %q: %v", target, out.RequestURI(), err)
		}
		if again.RawQuery != req.URL.RawQuery {
			t.Errorf("%q: query %q became %q", target, req.URL.RawQuery, again.RawQuery)
		}
		clean, err := url.JoinPath("/", again.Path)
		if err != nil {
			clean = again.Path
		}
		if !strings.HasPrefix(again.Path, "/v1/") || strings.ContainsAny(again.Path, "\\;#?\x00\r\n") ||
			strings.Contains(again.Path, "//") ||
			!strings.HasPrefix(clean, "/v1/") {
			t.Errorf("%q is sent as %q", target, out.RequestURI())
		}
	})
}
