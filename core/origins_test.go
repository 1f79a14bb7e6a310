package core

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A crossing is what a browser, or a program, says of where a request is from.
type crossing struct {
	name    string
	headers string
	refused bool
}

const evil = "https://evil.example"

// Whatever is no preflight is refused from origins that are not allowed: methods
// and bodies that need no preflight, WebSockets, health.
func TestOriginsAreEnforced(t *testing.T) {
	tests := []struct {
		name      string
		configure func(*Config)
		crossings []crossing
	}{
		{"any", nil, []crossing{
			{"listed nowhere", "Origin: " + evil + "\r\nSec-Fetch-Site: cross-site\r\n", false},
			{"null", "Origin: null\r\n", false},
		}},
		{"list", func(cfg *Config) { cfg.AllowedOrigins = []string{"https://chat.example"} }, []crossing{
			{"program", "", false},
			{"listed", "Origin: https://chat.example\r\nSec-Fetch-Site: cross-site\r\n", false},
			{"not listed", "Origin: " + evil + "\r\nSec-Fetch-Site: cross-site\r\n", true},
			{"not listed, old browser", "Origin: " + evil + "\r\n", true},
			{"longer", "Origin: https://chat.example.evil.example\r\n", true},
			{"other scheme", "Origin: http://chat.example\r\n", true},
			{"other port", "Origin: https://chat.example:8443\r\n", true},
			{"null", "Origin: null\r\nSec-Fetch-Site: cross-site\r\n", true},
			{"two origins", "Origin: https://chat.example\r\nOrigin: " + evil + "\r\n", true},
			{"same site is another origin", "Origin: https://b.h\r\nSec-Fetch-Site: same-site\r\n", true},
			{"no origin, as of images and forms' GET", "Sec-Fetch-Site: cross-site\r\n", true},
			{"own", "Origin: http://h\r\nSec-Fetch-Site: same-origin\r\n", false},
			{"own, old browser", "Origin: http://h\r\n", false},
			{"own, behind a proxy with another Host",
				"Origin: https://relay.example\r\nSec-Fetch-Site: same-origin\r\n", false},
			{"the user", "Sec-Fetch-Site: none\r\n", false},
			{"two sites", "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\nOrigin: " + evil + "\r\n",
				true},
			{"odd site", "Sec-Fetch-Site: Same-Origin\r\nOrigin: " + evil + "\r\n", true},
			{"own host as user", "Origin: https://h@evil.example\r\n", true},
		}},
		{"none", func(cfg *Config) { cfg.AllowedOrigins = []string{"none"} }, []crossing{
			{"program", "", false},
			{"own", "Origin: http://h\r\nSec-Fetch-Site: same-origin\r\n", false},
			{"other", "Origin: " + evil + "\r\nSec-Fetch-Site: cross-site\r\n", true},
			{"called none", "Origin: none\r\n", true},
		}},
		{"a token to spend", holdingToken, []crossing{
			{"program", "", false},
			{"own", "Origin: http://h\r\nSec-Fetch-Site: same-origin\r\n", false},
			{"other", "Origin: " + evil + "\r\nSec-Fetch-Site: cross-site\r\n", true},
			{"other, old browser", "Origin: " + evil + "\r\n", true},
			{"no origin", "Sec-Fetch-Site: cross-site\r\n", true},
			{"called *", "Origin: *\r\n", true},
		}},
		{"a token to spend, list", func(cfg *Config) {
			holdingToken(cfg)
			cfg.AllowedOrigins = []string{"https://chat.example"}
		}, []crossing{
			{"listed", "Origin: https://chat.example\r\nSec-Fetch-Site: cross-site\r\n", false},
			{"not listed", "Origin: " + evil + "\r\nSec-Fetch-Site: cross-site\r\n", true},
		}},
		{"a token to spend, for who shows one", func(cfg *Config) {
			holdingToken(cfg)
			cfg.AccessTokens = []Secret{canaryToken}
		}, []crossing{{"other", "X-Relay-Token: " + canaryToken + "\r\nOrigin: " + evil +
			"\r\nSec-Fetch-Site: cross-site\r\n", false}}},
	}
	requests := []string{
		"GET /v1/models HTTP/1.1\r\nHost: h\r\n", "HEAD /v1/models HTTP/1.1\r\nHost: h\r\nConnection: close\r\n",
		"POST /v1/responses HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n",
		"POST /v1/files HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 0\r\n",
		"OPTIONS /v1/models HTTP/1.1\r\nHost: h\r\n", "GET /v1/realtime HTTP/1.1\r\n" + handshake,
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFront(t, ok, test.configure)
			for _, c := range test.crossings {
				for _, request := range append(requests, "GET /relay/health HTTP/1.1\r\nHost: h\r\n",
					"GET /relay/health?deep=1 HTTP/1.1\r\nHost: h\r\n") {
					before := len(f.requests())
					res, body := sendRaw(t, f.URL, request+c.headers+"\r\n")
					if got := res.StatusCode == errOrigin.Status; got != c.refused {
						t.Errorf("%s: %.30q: got %d %s", c.name, request, res.StatusCode, body)
						continue
					}
					if !c.refused {
						continue
					}
					if !strings.HasPrefix(request, "HEAD") {
						wantError(t, res, body, errOrigin)
					}
					if got := res.Header.Values("Access-Control-Allow-Origin"); len(got) > 0 ||
						len(f.requests()) != before {
						t.Errorf("%s: %.30q: may be read by %q, upstream saw %d", c.name, request, got,
							len(f.requests())-before)
					}
				}
				// The page can be linked to.
				if res, _ := sendRaw(t, f.URL,
					"GET / HTTP/1.1\r\nHost: h\r\n"+c.headers+"\r\n"); res.StatusCode != 200 {
					t.Errorf("%s: the page answers %d", c.name, res.StatusCode)
				}
				// Preflights are answered, but permit nothing.
				res, _ := sendRaw(t, f.URL, "OPTIONS /v1/responses HTTP/1.1\r\nHost: h\r\n"+
					"Access-Control-Request-Method: POST\r\nOrigin: "+evil+"\r\nSec-Fetch-Site: cross-site\r\n\r\n")
				if got := res.Header.Get("Access-Control-Allow-Origin"); res.StatusCode != 204 ||
					(got != "") != (test.name == "any" || strings.HasSuffix(test.name, "who shows one")) {
					t.Errorf("preflight: %d %q", res.StatusCode, got)
				}
			}
		})
	}
}

// holdingToken gives cfg a token that the relay spends for whoever calls it.
func holdingToken(cfg *Config) {
	cfg.Upstreams = []Secret{Secret(strings.Replace(string(cfg.Upstreams[0]), "http://", "http://rt_region@", 1))}
}

// Upstreams that come with a token while the relay runs count as well.
func TestOriginsFollowTheUpstreams(t *testing.T) {
	f := newFront(t, ok, nil)
	from := []string{"Origin", evil, "Sec-Fetch-Site", "cross-site"}
	bare, holding := []Secret{Secret(f.upstream.URL)},
		[]Secret{Secret(strings.Replace(f.upstream.URL, "http://", "http://rt_region@", 1))}
	for _, step := range []struct {
		urls []Secret
		want int
	}{{bare, 200}, {holding, 403}, {bare, 200}, {append(holding, "https://"), 200}, {holding, 403},
		{append(bare, "x:"), 403}} {
		err := f.relay.SetUpstreams(step.urls)
		if (err != nil) != (len(step.urls) == 2) {
			t.Fatal(err)
		}
		if res, _ := send(t, "GET", f.URL+"/v1/models", "", from...); res.StatusCode != step.want {
			t.Errorf("after %d upstreams: %d, want %d", len(step.urls), res.StatusCode, step.want)
		}
	}
}

// A relay that others reach holds no token which it would spend for them.
func TestExposedRelays(t *testing.T) {
	token := []Secret{"https://rt_region@relay.example", "https://b.example"}
	for _, test := range []struct {
		name string
		cfg  Config
		ok   bool
	}{
		{"this machine's", Config{Upstreams: token}, true},
		{"public", Config{Upstreams: token, Public: true}, false},
		{"public, origins listed", Config{Upstreams: token, Public: true,
			AllowedOrigins: []string{"https://chat.example"}}, false},
		{"public, tokens", Config{Upstreams: token, Public: true, AccessTokens: []Secret{canaryToken}}, true},
		{"public, no token held", Config{Upstreams: []Secret{"https://b.example"}, Public: true}, true},
		{"a function", Config{Upstreams: token, Platform: Platform{Name: "AWS Lambda", Serverless: true}}, false},
	} {
		r, err := New(test.cfg)
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
		if err != nil && (strings.Contains(err.Error(), "region") ||
			!strings.Contains(err.Error(), "RELAY_ACCESS_TOKENS")) {
			t.Errorf("%s: %v", test.name, err)
		}
		if r != nil {
			r.stop()
		}
	}
	f := newFront(t, ok, func(cfg *Config) { cfg.Public = true })
	if err := f.relay.SetUpstreams(token); err == nil {
		t.Error("a public relay took a token while it runs")
	}
	if res, _ := send(t, "GET", f.URL+"/v1/models", ""); res.StatusCode != 200 ||
		f.only(t).Header.Get("X-Relay-Token") != "" {
		t.Errorf("after that: %d", res.StatusCode)
	}
	misconfigured := FromEnv([]string{"RELAY_UPSTREAMS=https://rt_region@relay.example", "RELAY_LOG_LEVEL=off"},
		Platform{Name: "Test", Serverless: true})
	server := httptest.NewServer(misconfigured)
	defer server.Close()
	w, _ := send(t, "GET", server.URL+"/v1/models", "")
	if w.StatusCode != http.StatusInternalServerError || w.Header.Get("X-Relay-Error") != errMisconfigured.Code {
		t.Errorf("function: %d %v", w.StatusCode, w.Header)
	}
}

// A WebSocket of a page that may not call is refused before the upstream sees it;
// one of the relay's own page passes.
func TestWebSocketOrigins(t *testing.T) {
	f := newFront(t, echoUpgrade(t), holdingToken)
	res, body := sendRaw(t, f.URL, "GET /v1/realtime HTTP/1.1\r\n"+handshake+"Origin: "+evil+"\r\n\r\n")
	wantError(t, res, body, errOrigin)
	f.untouched(t)
	conn := dialRaw(t, f.URL)
	_, _ = io.WriteString(conn, "GET /v1/realtime HTTP/1.1\r\n"+handshake+"Origin: http://h\r\n\r\n")
	if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || res.StatusCode != 101 {
		t.Errorf("own page: %v %v", res, err)
	}
}
