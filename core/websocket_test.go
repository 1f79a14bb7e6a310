package core

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// echoUpgrade accepts a WebSocket handshake and echoes bytes until the other
// side ends its half.
func echoUpgrade(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n"+
			"Connection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: realtime\r\nSet-Cookie: a=b\r\nServer: s\r\n\r\n")
		_, _ = io.Copy(conn, rw)
	}
}

const handshake = "Host: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

func TestWebSocketPassesThrough(t *testing.T) {
	for _, target := range []string{"/v1/realtime?model=gpt-realtime&x=%zz;", "/v1/responses"} {
		f := newFront(t, echoUpgrade(t), nil)
		conn := dialRaw(t, f.URL)
		_, _ = io.WriteString(conn, "GET "+target+" HTTP/1.1\r\n"+handshake+
			"Origin: https://a.example\r\nX-Forwarded-For: 1.2.3.4\r\nAuthorization: Bearer "+canaryKey+
			"\r\nOpenAI-Beta: realtime=v1\r\nSec-WebSocket-Protocol: realtime\r\n\r\n")
		r := bufio.NewReader(conn)
		res, err := http.ReadResponse(r, nil)
		if err != nil || res.StatusCode != 101 {
			t.Fatalf("%s: %v %v", target, res, err)
		}
		for name, want := range map[string]string{
			"Connection": "Upgrade", "Upgrade": "websocket", "Sec-Websocket-Accept": "x",
			"Sec-Websocket-Protocol": "realtime",
			"X-Relay":                "relay; origin=upstream", "Set-Cookie": "", "Server": "", "Link": "",
			"Access-Control-Allow-Origin": "",
		} {
			if got := strings.Join(res.Header.Values(name), "|"); got != want && name != "Access-Control-Allow-Origin" {
				t.Errorf("%s: %s = %q, want %q", target, name, got, want)
			}
		}
		_, _ = io.WriteString(conn, "hello\x00\xff")
		if got := make([]byte, 7); true {
			if _, err := io.ReadFull(r, got); err != nil || string(got) != "hello\x00\xff" {
				t.Errorf("echo %q %v", got, err)
			}
		}
		seen := f.only(t)
		if seen.RequestURI != target {
			t.Errorf("upstream saw %q, want %q", seen.RequestURI, target)
		}
		for name, want := range map[string]string{
			"Upgrade": "websocket", "Connection": "Upgrade", "Authorization": "Bearer " + canaryKey,
			"Openai-Beta":            "realtime=v1",
			"Sec-Websocket-Protocol": "realtime", "Origin": "", "X-Forwarded-For": "",
		} {
			if got := seen.Header.Get(name); got != want {
				t.Errorf("%s: upstream got %s %q, want %q", target, name, got, want)
			}
		}
		// The client ends its half; what it sent before comes back in full.
		_, _ = io.WriteString(conn, "last words")
		_ = conn.CloseWrite()
		if rest, err := io.ReadAll(r); err != nil || string(rest) != "last words" {
			t.Errorf("%s: after half-close %q %v", target, rest, err)
		}
		waitForLog(t, f, `"status":101`)
	}
}

func TestWebSocketKeyInTheSubprotocol(t *testing.T) {
	tests := []struct {
		name, offered, want, authorization string
		key                                Secret
		status                             int
	}{
		{"token in the key", "realtime, openai-insecure-api-key.rt_" + canaryToken + "." + canaryKey + ", beta",
			"realtime, beta, openai-insecure-api-key." + canaryKey, "", "", 101},
		{"held key", "realtime, openai-insecure-api-key.rt_" + canaryToken + ", beta", "realtime, beta",
			"Bearer sk-held", "sk-held", 101},
		{"held key, bare token", "realtime, openai-insecure-api-key." + canaryToken, "realtime", "Bearer sk-held",
			"sk-held", 101},
		{"no token", "realtime, openai-insecure-api-key." + canaryKey, "", "", "", 401},
		{"wrong token", "realtime, openai-insecure-api-key.rt_wrong." + canaryKey, "", "", "", 401},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFront(t, echoUpgrade(t),
				func(cfg *Config) { cfg.AccessTokens, cfg.APIKey = []Secret{canaryToken}, test.key })
			conn := dialRaw(t, f.URL)
			_, _ = io.WriteString(conn, "GET /v1/realtime HTTP/1.1\r\n"+handshake+"Sec-WebSocket-Protocol: "+
				test.offered+"\r\n\r\n")
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || res.StatusCode != test.status {
				t.Fatalf("got %v %v, want %d", res, err, test.status)
			}
			if test.status != 101 {
				f.untouched(t)
				return
			}
			h := f.only(t).Header
			if got := h.Get("Sec-Websocket-Protocol"); got != test.want {
				t.Errorf("upstream got protocols %q, want %q", got, test.want)
			}
			if got := h.Get("Authorization"); got != test.authorization {
				t.Errorf("upstream got Authorization %q, want %q", got, test.authorization)
			}
		})
	}
}

func TestWebSocketWhereThereIsNone(t *testing.T) {
	for _, test := range []struct {
		method, path string
		none         bool
	}{{"GET", "/v1/realtime", true}, {"GET", "/v1/responses", true}, {"GET", "/v1/live/sessions", true},
		{"POST", "/v1/responses", false}} {
		f := newFront(t, ok, func(cfg *Config) { cfg.Platform.NoWebSocket = test.none })
		res, body := sendRaw(t, f.URL, test.method+" "+test.path+" HTTP/1.1\r\n"+handshake+"\r\n")
		wantError(t, res, body, errWebSocket)
		if res.StatusCode != 426 || res.Header.Get("Upgrade") != "websocket" ||
			res.Header.Get("Connection") != "Upgrade" {
			t.Errorf("%s: %d %v", test.path, res.StatusCode, res.Header)
		}
		f.untouched(t)
	}
	// The Upgrade header was lost on the way, but it is still plain what was wanted.
	f := newFront(t, ok, nil)
	res, body := sendRaw(t, f.URL,
		"GET /v1/realtime HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	wantError(t, res, body, errWebSocket)
	f.untouched(t)
}

// Upgrades pass on every path that is relayed, below every base path: the API
// knows which of them are WebSockets.
func TestWebSocketOnEveryPath(t *testing.T) {
	for _, path := range []string{"/v1/realtime", "/v1/responses", "/v1/live/sessions", "/v1/realtime/translations",
		"/v1/models", "/other/ws"} {
		var seen string
		f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
			seen = req.URL.Path
			w.WriteHeader(http.StatusNotFound)
		}, func(cfg *Config) {
			cfg.Paths = []string{"/v1/", "/other/"}
			cfg.Upstreams[0] += "/base"
		})
		res, _ := sendRaw(t, f.URL, "GET "+path+" HTTP/1.1\r\n"+handshake+"\r\n")
		req := f.only(t)
		if res.StatusCode != 404 || seen != "/base"+path || !strings.EqualFold(req.Header.Get("Upgrade"), "websocket") {
			t.Errorf("%s: the client got %d, the upstream %s, %v", path, res.StatusCode, seen, req.Header)
		}
	}
}

func TestUpgradesThatFail(t *testing.T) {
	t.Run("refused by the upstream", func(t *testing.T) {
		f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Request-Id", "req_1")
			w.Header().Set("Set-Cookie", "a=b")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error":{}}`)
		}, nil)
		res, body := sendRaw(t, f.URL, "GET /v1/realtime HTTP/1.1\r\n"+handshake+"\r\n")
		if res.StatusCode != 401 || body != `{"error":{}}` || res.Header.Get("Set-Cookie") != "" ||
			res.Header.Get("X-Relay") != "relay; origin=upstream" {
			t.Errorf("got %d %v %q", res.StatusCode, res.Header, body)
		}
	})
	t.Run("upstream gone", func(t *testing.T) {
		f := newFront(t, ok, nil)
		f.upstream.Close()
		res, body := sendRaw(t, f.URL, "GET /v1/realtime HTTP/1.1\r\n"+handshake+"\r\n")
		wantError(t, res, body, errConnect)
	})
	t.Run("other protocols are ordinary requests", func(t *testing.T) {
		f := newFront(t, ok, nil)
		res, _ := sendRaw(t, f.URL, "GET /v1/models HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\n"+
			"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
		if h := f.only(t).Header; res.StatusCode != 200 || h.Get("Upgrade") != "" || h.Get("Http2-Settings") != "" {
			t.Errorf("got %d, upstream got %v", res.StatusCode, h)
		}
	})
}

func TestWebSocketEndsWithEitherSide(t *testing.T) {
	ended := make(chan bool, 1)
	f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(io.Discard, rw)
		ended <- true
	}, nil)
	conn := dialRaw(t, f.URL)
	_, _ = io.WriteString(conn, "GET /v1/realtime HTTP/1.1\r\n"+handshake+"\r\n")
	if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetLinger(0)
	conn.Close() // a reset
	receive(t, ended, "the upstream's end")
}

// A WebSocket's client that takes nothing does not hold its connections.
func TestWebSocketClientThatTakesNothing(t *testing.T) {
	ended := make(chan bool, 1)
	f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
		conn := hijack(t, w, "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		defer conn.Close()
		for block := make([]byte, 1<<20); ; {
			if _, err := conn.Write(block); err != nil {
				break
			}
		}
		ended <- true
	}, func(cfg *Config) { cfg.WriteTimeout = 100 * time.Millisecond })
	conn := dialRaw(t, f.URL)
	_, _ = io.WriteString(conn, "GET /v1/realtime HTTP/1.1\r\n"+handshake+"\r\n")
	receive(t, ended, "the upstream's end")
	waitForLog(t, f, `"status":101`)
}

// The upstream may end its half first: what the client sends then still arrives.
func TestWebSocketUpstreamHalfClose(t *testing.T) {
	got := make(chan string, 1)
	f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
		conn := hijack(t, w, "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbye")
		defer conn.Close()
		_ = conn.CloseWrite()
		rest, _ := io.ReadAll(conn)
		got <- string(rest)
	}, nil)
	conn := dialRaw(t, f.URL)
	_, _ = io.WriteString(conn, "GET /v1/realtime HTTP/1.1\r\n"+handshake+"\r\n")
	r := bufio.NewReader(conn)
	if _, err := http.ReadResponse(r, nil); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(r); string(rest) != "bye" || err != nil {
		t.Errorf("client got %q, %v", rest, err)
	}
	_, _ = io.WriteString(conn, "still here")
	_ = conn.CloseWrite()
	if rest := receive(t, got, "the upstream's end"); rest != "still here" {
		t.Errorf("upstream got %q", rest)
	}
}

func TestWebSocketTimeLimit(t *testing.T) {
	f := newFront(t, echoUpgrade(t), func(cfg *Config) { cfg.MaxStreamTime = 50 * time.Millisecond })
	conn := dialRaw(t, f.URL)
	_, _ = io.WriteString(conn, "GET /v1/realtime HTTP/1.1\r\n"+handshake+"\r\n")
	if _, err := io.ReadAll(conn); err != nil {
		t.Error(err)
	}
	waitForLog(t, f, `"error":"stream_limit"`)
}

// openSocket opens a WebSocket and returns its connection, whose deadline is 20 s,
// with the status of the handshake.
func openSocket(t *testing.T, url, headers string) (*net.TCPConn, *http.Response) {
	t.Helper()
	conn := dialRaw(t, url)
	_, _ = io.WriteString(conn, "GET /v1/realtime HTTP/1.1\r\n"+handshake+headers+"\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return conn, res
}

// A WebSocket on which nobody says anything ends; a byte either way keeps it.
func TestIdleWebSockets(t *testing.T) {
	const idle = 300 * time.Millisecond
	ended := make(chan error, 2)
	f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn,
			"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		if req.Header.Get("X-Speaker") == "upstream" {
			for range 6 {
				time.Sleep(idle / 3)
				_, _ = io.WriteString(conn, "x")
			}
		}
		_, err = io.Copy(io.Discard, rw)
		ended <- err
	}, func(cfg *Config) { cfg.IdleTimeout = idle })
	for _, speaker := range []string{"nobody", "client", "upstream"} {
		start := time.Now()
		conn, res := openSocket(t, f.URL, "X-Speaker: "+speaker+"\r\n")
		if res.StatusCode != 101 {
			t.Fatalf("%s: %v", speaker, res)
		}
		least := idle
		if speaker == "client" {
			for range 6 {
				time.Sleep(idle / 3)
				if _, err := io.WriteString(conn, "x"); err != nil {
					t.Errorf("%s: ended after %v", speaker, time.Since(start))
				}
			}
		}
		if speaker != "nobody" {
			least += 6 * idle / 3
		}
		_, err := io.Copy(io.Discard, conn)
		if took := time.Since(start); os.IsTimeout(err) || took < least {
			t.Errorf("%s: ended after %v by %v, want at least %v", speaker, took, err, least)
		}
		receive(t, ended, "the upstream's end")
	}
	waitForLog(t, f, `"error":"upstream_idle_timeout"`)
}

// However many WebSockets one token opens, the others get their places.
func TestWebSocketsOfOneToken(t *testing.T) {
	f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
		if isWebSocket(req) {
			echoUpgrade(t)(w, req)
			return
		}
		ok(w, req)
	}, func(cfg *Config) { cfg.AccessTokens, cfg.MaxInFlight = []Secret{canaryToken, "second-token"}, 4 })
	first, second := "X-Relay-Token: "+canaryToken+"\r\n", "X-Relay-Token: second-token\r\n"
	var open []*net.TCPConn
	for i := range 6 {
		conn, res := openSocket(t, f.URL, first)
		if want := 101; i < 2 {
			open = append(open, conn)
			if res.StatusCode != want {
				t.Fatalf("WebSocket %d: %d", i, res.StatusCode)
			}
		} else if res.StatusCode != 503 || res.Header.Get("X-Relay-Error") != "relay_overloaded" {
			t.Errorf("WebSocket %d: %d %v", i, res.StatusCode, res.Header)
		}
	}
	if _, res := openSocket(t, f.URL, second); res.StatusCode != 101 {
		t.Errorf("another token's WebSocket: %d", res.StatusCode)
	}
	if res, _ := send(t, "GET", f.URL+"/v1/models", "", "X-Relay-Token", "second-token"); res.StatusCode != 200 {
		t.Errorf("another token's request: %d", res.StatusCode)
	}
	open[0].Close()
	waitForLog(t, f, `"status":101`)
	if _, res := openSocket(t, f.URL, first); res.StatusCode != 101 {
		t.Errorf("in the place of one that ended: %d", res.StatusCode)
	}
}

// A WebSocket is a request in flight of its token until it ends.
func TestWebSocketsOfANamedToken(t *testing.T) {
	f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
		if isWebSocket(req) {
			echoUpgrade(t)(w, req)
			return
		}
		ok(w, req)
	}, withTokens(NamedToken{Name: "alice", Token: canaryToken, MaxInFlight: 1}))
	token := "X-Relay-Token: " + canaryToken + "\r\n"
	conn, res := openSocket(t, f.URL, token)
	if res.StatusCode != 101 {
		t.Fatalf("the first: %d", res.StatusCode)
	}
	if _, res := openSocket(t, f.URL, token); res.StatusCode != 429 ||
		res.Header.Get("X-Relay-Error") != errTokenInFlight.Code {
		t.Errorf("another WebSocket: %d %v", res.StatusCode, res.Header)
	}
	refused, body := send(t, "GET", f.URL+"/v1/models", "", "X-Relay-Token", canaryToken)
	wantError(t, refused, body, errTokenInFlight)
	conn.Close()
	waitFor(t, "the WebSocket to end", f.idle)
	if _, res := openSocket(t, f.URL, token); res.StatusCode != 101 {
		t.Errorf("in the place of one that ended: %d", res.StatusCode)
	}
}
