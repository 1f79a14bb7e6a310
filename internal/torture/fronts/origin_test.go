package fronts

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestOrigin attacks the relay's own origin, its credentials and its memory, from
// browsers and from other clients.
func TestOrigin(t *testing.T) {
	runRows(t, []row{
		{"D21", "a page of the upstream on the relay's origin", all, nil, []string{"RELAY_PATH_TOKENS=true"}, takeover},
		{"D22", "a web page of another origin", all, nil, []string{"RELAY_ALLOWED_ORIGINS=https://chat.example"},
			crossSite},
		{"D23", "a token for whoever comes", all, nil, nil, spending},
		{"D24", "header lines without number", relays, with(platformFirst, nil), nil, headerLines},
		{"D25", "tokens on the way up", all, nil, nil, leakingTokens},
		{"D26", "idle WebSockets", relays,
			with(excepting("does not support WebSockets", lambda, buffered),
				excepting("the platform limits the requests in flight", gcf, vercel)),
			[]string{"RELAY_IDLE_TIMEOUT=300ms", "RELAY_MAX_IN_FLIGHT=4"}, idleSockets},
	})
}

// takeover has an upstream that tries to take over the relay's origin.
func takeover(r *rig) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		h := w.Header()
		for _, name := range []string{"Service-Worker-Allowed", "Clear-Site-Data", "Refresh", "Link", "Origin-Trial",
			"Set-Login", "SourceMap", "Accept-CH", "Critical-CH"} {
			h.Set(name, "/")
		}
		h.Set("WWW-Authenticate", `Bearer, Basic realm="your password"`)
		h.Set("Content-Security-Policy", "script-src *")
		h.Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<script>navigator.serviceWorker.register('/v1/sw.js', {scope: '/'})</script>")
	}))
	defer upstream.Close()
	r.start(upstream.URL, "RELAY_PATH_TOKENS=true")
	for _, path := range []string{"/v1/page", "/t/" + canaryToken + "/v1/page"} {
		for _, header := range [][2]string{{"Service-Worker", "script"}, {"Sec-Fetch-Dest", "document"},
			{"Sec-Fetch-Dest", "iframe"}, {"Sec-Fetch-Dest", "serviceworker"}, {"Sec-Fetch-Dest", "script"}} {
			r.wantError(r.send("GET", path, "", header[0], header[1]), http.StatusForbidden,
				"browser_navigation_not_allowed")
		}
		a := r.send("GET", path, "", "Sec-Fetch-Dest", "empty")
		if a.status != 200 || strings.Join(a.header.Values("Content-Security-Policy"),
			"|") != "sandbox; default-src 'none'" || a.header.Get("X-Content-Type-Options") != "nosniff" {
			r.Errorf("%s: %v %v", path, a, a.header)
		}
		for _, name := range []string{"Service-Worker-Allowed", "Clear-Site-Data", "Refresh", "Link", "Origin-Trial",
			"Set-Login", "SourceMap", "Accept-CH", "Critical-CH", "WWW-Authenticate"} {
			if got := a.header.Get(name); got != "" {
				r.Errorf("%s: the client got %s: %q", path, name, got)
			}
		}
	}
}

func crossSite(r *rig) {
	for _, headers := range [][]string{
		{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"},
		{"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"},
		{"Origin", "https://chat.example.evil.example"},
	} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			a := r.send(method, "/v1/models", "", headers...)
			r.wantError(a, http.StatusForbidden, "origin_not_allowed")
			if a.header.Get("Access-Control-Allow-Origin") != "" {
				r.Errorf("%q may read the response", headers)
			}
		}
		r.wantError(r.send("POST", chatPath, chat, append(headers, "Content-Type", "text/plain")...),
			http.StatusForbidden, "origin_not_allowed")
		r.wantError(r.send("GET", "/relay/health", "", headers...), http.StatusForbidden, "origin_not_allowed")
		r.wantError(r.send("GET", "/v1/realtime", "",
			append(headers, "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Key", "x",
				"Sec-WebSocket-Version", "13")...), http.StatusForbidden, "origin_not_allowed")
	}
	r.wantUpstream(0)
	if a := r.send("POST", chatPath, chat, "Origin", "https://chat.example", "Sec-Fetch-Site",
		"cross-site"); a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != "https://chat.example" {
		r.Errorf("a listed origin: %v %v", a, a.header)
	}
	if a := r.send("POST", chatPath, chat); a.status != 200 {
		r.Errorf("a program: %v", a)
	}
}

// spending has a relay that holds another's token and requires none itself.
func spending(r *rig) {
	var seen atomic.Int32
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/relay/health" {
			seen.Add(1)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"status":"ok"}`)
	}))
	defer upstream.Close()
	r.start(upstream.URL, "RELAY_UPSTREAMS="+strings.Replace(upstream.URL, "http://", "http://rt_held@", 1),
		"RELAY_ACCESS_TOKENS=")
	cross := []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}
	if !r.is(relays...) {
		r.wantError(r.send("POST", chatPath, chat), http.StatusInternalServerError, "relay_misconfigured")
		if n := seen.Load(); n != 0 {
			r.Errorf("upstream saw %d requests, want none", n)
		}
		r.note("does not start: misconfigured")
		return
	}
	r.wantError(r.send("POST", chatPath, chat, cross...), http.StatusForbidden, "origin_not_allowed")
	r.wantError(r.send("GET", "/v1/models", "", cross[2:]...), http.StatusForbidden, "origin_not_allowed")
	if a := r.send("OPTIONS", chatPath, "",
		append(cross, "Access-Control-Request-Method", "POST")...); a.status != 204 ||
		a.header.Get("Access-Control-Allow-Origin") != "" {
		r.Errorf("preflight: %v %v", a, a.header)
	}
	if n := seen.Load(); n != 0 {
		r.Errorf("upstream saw %d requests, want none", n)
	}
	if a := r.send("POST", chatPath, chat, "Origin", r.base, "Sec-Fetch-Site", "same-origin"); a.status != 200 {
		r.Errorf("the relay's own page: %v", a)
	}
}

func headerLines(r *rig) {
	for _, lines := range []string{strings.Repeat("a: b\r\n", 16_000), strings.Repeat("a:\n", 31_000),
		strings.Repeat("\r\r\n", 9_000), "a: b\r\n" + strings.Repeat(" c\r\n", 9_000)} {
		a := r.raw("GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n" + lines + "\r\n")
		r.wantError(a, http.StatusRequestHeaderFieldsTooLarge, "headers_too_large")
	}
	r.wantUpstream(0)
	r.wantNext()
}

func leakingTokens(r *rig) {
	for _, headers := range [][]string{
		{"Authorization", "Bearer " + canaryToken}, {"Authorization", `Bearer "rt_` + canaryToken + `"`},
		{"Authorization", "Bearer Bearer rt_" + canaryToken},
		{"X-Goog-Api-Key", "x" + canaryToken}, {"OpenAI-Organization", canaryToken}, {"User-Agent", canaryToken},
	} {
		r.wantError(r.send("GET", "/v1/models", "", headers...), http.StatusBadRequest, "misplaced_access_token")
	}
	for _, path := range []string{"/v1/models?api_key=" + canaryToken, "/v1/models?key=rt_" + canaryToken,
		"/v1/models/" + canaryToken, "/v1/models?x=%63" + canaryToken[1:]} {
		r.wantError(r.send("GET", path, ""), http.StatusBadRequest, "misplaced_access_token")
	}
	r.wantUpstream(0)
	r.wantNext()
}

// idleSockets opens WebSockets with which one client would use up the in-flight limit.
func idleSockets(r *rig) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Upgrade") == "" {
			_, _ = io.WriteString(w, "hgfedcba")
			return
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn,
			"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(io.Discard, rw)
	}))
	defer upstream.Close()
	r.start(upstream.URL, "RELAY_IDLE_TIMEOUT=300ms", "RELAY_MAX_IN_FLIGHT=4")
	const socket = "GET /v1/realtime HTTP/1.1\r\n" + canaries + upgrade + "\r\n"
	var open []*wire
	for range 6 {
		w := r.dial()
		defer w.Close()
		w.say(socket)
		open = append(open, w)
	}
	r.wantNext()
	start, upgraded := time.Now(), 0
	for _, w := range open {
		b := bufio.NewReader(w)
		if res, err := http.ReadResponse(b, nil); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
			continue // refused, on a connection that is kept
		}
		upgraded++
		_, _ = io.Copy(io.Discard, b)
	}
	if upgraded == 0 || upgraded == len(open) {
		r.Errorf("%d of %d WebSockets were opened", upgraded, len(open))
	}
	if took := time.Since(start); took > 10*time.Second {
		r.Errorf("idle WebSockets ended after %v", took)
	}
	r.wantNext()
}
