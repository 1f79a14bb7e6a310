package core

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// hostilePage responds with a page that would take the relay's origin over, and
// with every header that would help it.
func hostilePage(w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	for _, name := range originOrders {
		h.Set(name, "hostile")
	}
	h["Content-Security-Policy"] = []string{"script-src *", "sandbox allow-scripts allow-same-origin"}
	h.Set("X-Content-Type-Options", "sniff")
	h.Set("Content-Type", "text/html")
	status := http.StatusOK
	if strings.HasSuffix(req.URL.Path, "/error") {
		status = http.StatusBadGateway
	}
	if strings.HasSuffix(req.URL.Path, "/events") {
		h.Set("Content-Type", "text/event-stream")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "<script>navigator.serviceWorker.register('/v1/sw.js', {scope: '/'})</script>")
}

// originOrders are response headers by which an upstream would command browsers
// on the relay's origin.
var originOrders = []string{
	"Service-Worker-Allowed", "Clear-Site-Data", "Refresh", "Set-Login", "Link", "SourceMap", "X-SourceMap",
	"Origin-Trial", "Accept-CH", "Critical-CH",
	// Those by which nginx, Apache, lighttpd and mod_reproxy in front would send something else.
	"X-Accel-Redirect", "X-Accel-Charset", "X-Accel-Expires", "X-Accel-Limit-Rate", "X-Sendfile", "X-Sendfile2",
	"X-LIGHTTPD-send-file", "X-LIGHTTPD-send-tempfile", "X-Reproxy-URL", "X-Reproxy-File",
	"Content-Security-Policy-Report-Only", "Service-Worker-Navigation-Preload", "Speculation-Rules",
	"Supports-Loading-Mode", "Document-Policy", "Permissions-Policy",
	"Feature-Policy", "Public-Key-Pins", "Public-Key-Pins-Report-Only", "Expect-CT", "No-Vary-Search",
	"Activate-Storage-Access", "Sec-Session-Registration",
	"Attribution-Reporting-Register-Source", "Origin-Agent-Cluster", "Reporting-Endpoints", "Set-Cookie",
	"Strict-Transport-Security", "Access-Control-Allow-Origin",
}

func TestUpstreamContentIsInert(t *testing.T) {
	f := newFront(t, hostilePage, nil)
	for _, path := range []string{"/v1/page", "/v1/error", "/v1/events"} {
		res, body := send(t, "GET", f.URL+path, "")
		if !strings.Contains(body, "serviceWorker") || res.Header.Get("X-Relay") != "relay; origin=upstream" {
			t.Fatalf("%s: got %d %q", path, res.StatusCode, body)
		}
		wantInert(t, path, res.Header)
		for _, name := range originOrders {
			if values := res.Header.Values(name); len(values) > 0 {
				t.Errorf("%s: %s = %q goes down", path, name, values)
			}
		}
	}
	// A handshake to which the upstream responds with a page.
	res, _ := sendRaw(t, f.URL, "GET /v1/realtime HTTP/1.1\r\n"+handshake+"\r\n")
	wantInert(t, "handshake", res.Header)
	if res.Header.Get("Service-Worker-Allowed") != "" {
		t.Errorf("handshake: %v", res.Header)
	}
}

// wantInert fails t unless h keeps browsers from running what it describes.
func wantInert(t *testing.T, what string, h http.Header) {
	t.Helper()
	for name, want := range map[string]string{"Content-Security-Policy": "sandbox; default-src 'none'",
		"X-Content-Type-Options": "nosniff"} {
		if got := h.Values(name); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %s = %q, want %q once", what, name, got, want)
		}
	}
}

func TestChallenges(t *testing.T) {
	tests := []struct {
		values []string
		pass   bool
	}{
		{[]string{"Bearer"}, true},
		{[]string{`Bearer realm="api", error="invalid_token"`}, true},
		{[]string{`Bearer realm="Basic, Digest x"`, "DPoP algs=\"ES256\""}, true},
		{[]string{"Basic"}, false},
		{[]string{`bAsIc realm="x"`}, false},
		{[]string{"Bearer", `Basic realm="x"`}, false},
		{[]string{`Bearer realm="x", Basic realm="y"`}, false},
		{[]string{`Bearer,Basic`}, false},
		{[]string{`Digest nonce="x"`}, false},
		{[]string{"NTLM"}, false},
		{[]string{"negotiate abc="}, false},
		{[]string{`Bearer realm="x, Basic realm=y`}, false},
		{[]string{`Bearer realm="x\", Basic realm="y", z="`}, false},
		{[]string{"\tBasic"}, false},
	}
	for _, test := range tests {
		f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Www-Authenticate"] = test.values
			w.WriteHeader(http.StatusUnauthorized)
		}, nil)
		res, _ := send(t, "GET", f.URL+"/v1/models", "")
		want := test.values
		if !test.pass {
			want = nil
		}
		if got := res.Header.Values("WWW-Authenticate"); res.StatusCode != 401 ||
			!slices.EqualFunc(got, want, func(a,
				b string) bool {
				return strings.TrimSpace(a) == strings.TrimSpace(b)
			}) {
			t.Errorf("%q: got %d %q, want %q", test.values, res.StatusCode, got, want)
		}
	}
}

func TestNavigationsAreRefused(t *testing.T) {
	tests := []struct {
		name, value string
		pass        bool
	}{
		{"Service-Worker", "script", false},
		{"Service-Worker", "", false},
		{"service-worker", "other", false},
		{"Sec-Fetch-Dest", "document", false},
		{"Sec-Fetch-Dest", "iframe", false},
		{"Sec-Fetch-Dest", "frame", false},
		{"Sec-Fetch-Dest", "fencedframe", false},
		{"Sec-Fetch-Dest", "embed", false},
		{"Sec-Fetch-Dest", "object", false},
		{"Sec-Fetch-Dest", "script", false},
		{"Sec-Fetch-Dest", "worker", false},
		{"Sec-Fetch-Dest", "sharedworker", false},
		{"Sec-Fetch-Dest", "serviceworker", false},
		{"Sec-Fetch-Dest", "audioworklet", false},
		{"Sec-Fetch-Dest", "paintworklet", false},
		{"Sec-Fetch-Dest", "style", false},
		{"Sec-Fetch-Dest", "manifest", false},
		{"Sec-Fetch-Dest", "xslt", false},
		{"Sec-Fetch-Dest", "Document", false},
		{"Sec-Fetch-Dest", "empty, document", false},
		{"Sec-Fetch-Dest", "empty\r\nSec-Fetch-Dest: document", false},
		{"Sec-Fetch-Mode", "navigate", false},
		{"Sec-Fetch-Dest", "empty", true},
		{"Sec-Fetch-Dest", "audio", true},
		{"Sec-Fetch-Dest", "image", true},
		{"Sec-Fetch-Dest", "video", true},
		{"Sec-Fetch-Dest", "track", true},
		{"Sec-Fetch-Dest", "font", true},
		{"Sec-Fetch-Dest", "websocket", true},
		{"Sec-Fetch-Mode", "cors", true},
	}
	for _, tokens := range [][]Secret{nil, {canaryToken}} {
		f := newFront(t, ok, func(cfg *Config) { cfg.AccessTokens, cfg.PathTokens = tokens, true })
		prefix := ""
		if tokens != nil {
			prefix = "/t/" + canaryToken
		}
		for _, test := range tests {
			before := len(f.requests())
			res, body := sendRaw(t, f.URL,
				"GET "+prefix+"/v1/models HTTP/1.1\r\nHost: h\r\n"+test.name+": "+test.value+"\r\n\r\n")
			if test.pass {
				if res.StatusCode != 200 || len(f.requests()) != before+1 {
					t.Errorf("%s: %q: got %d", test.name, test.value, res.StatusCode)
				}
				continue
			}
			wantError(t, res, body, errNavigation)
			if got := res.Header.Get("X-Content-Type-Options"); got != "nosniff" || len(f.requests()) != before {
				t.Errorf("%s: %q: X-Content-Type-Options %q, upstream saw %d", test.name, test.value, got,
					len(f.requests())-before)
			}
		}
	}
	// The relay's own may be opened.
	f := newFront(t, ok, nil)
	for _, path := range []string{"/", "/relay/health"} {
		res, _ := send(t, "GET", f.URL+path, "", "Sec-Fetch-Dest", "document", "Sec-Fetch-Mode", "navigate",
			"Sec-Fetch-Site", "none")
		if res.StatusCode != 200 || res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: got %d %v", path, res.StatusCode, res.Header)
		}
	}
}
