package core

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// After admission, a request in which a token still stands goes nowhere.
func TestTokensThatWouldReachTheUpstream(t *testing.T) {
	escaped := ""
	for _, c := range []byte(canaryToken) {
		escaped += fmt.Sprintf("%%%02x", c)
	}
	requests := []struct{ target, headers string }{
		{"/v1/models", "Authorization: Bearer " + canaryToken},
		{"/v1/models", `Authorization: Bearer "rt_` + canaryToken + `.sk-a"`},
		{"/v1/models", "Authorization: Bearer Bearer rt_" + canaryToken + ".sk-a"},
		{"/v1/models", "Authorization: BEARER sk-a.rt_" + canaryToken},
		{"/v1/models", "Authorization: Bearer sk-a, Bearer rt_" + canaryToken},
		{"/v1/models", "Authorization: Token x" + canaryToken},
		{"/v1/models", "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("user:rt_"+canaryToken))},
		{"/v1/models", "Api-Key: " + canaryToken},
		{"/v1/models", "X-Goog-Api-Key: x" + canaryToken},
		{"/v1/models", "X-Api-Key: sk-a.rt_" + canaryToken},
		{"/v1/models", "OpenAI-Organization: " + canaryToken},
		{"/v1/models", "OpenAI-Project: rt_" + canaryToken},
		{"/v1/models", "User-Agent: tool/" + canaryToken},
		{"/v1/models", "X-" + canaryToken + ": 1"},
		{"/v1/models", "X-Other: " + escaped},
		{"/v1/models?api_key=" + canaryToken, ""},
		{"/v1/models?key=rt_" + canaryToken + ".sk-a", ""},
		{"/v1/models?a=%zz&key=" + escaped, ""},
		{"/v1/models?" + canaryToken, ""},
		{"/v1/models/" + canaryToken, ""},
		{"/v1/models/" + escaped, ""},
		{"/v1/t/" + canaryToken + "/v1/models", ""},
	}
	sum := sha256.Sum256([]byte(canaryToken))
	hashed := Secret("sha256:" + hex.EncodeToString(sum[:]))
	for _, configured := range [][]Secret{{canaryToken}, {hashed}, {"other-token-0123456789", "rt_" + canaryToken}} {
		for _, key := range []Secret{"", "sk-held"} {
			f := newFront(t, ok, func(cfg *Config) { cfg.AccessTokens, cfg.APIKey = configured, key })
			for _, r := range requests {
				name, _, _ := strings.Cut(r.headers, ":")
				if key != "" && keyCarries(name) {
					continue // the held key has taken its place
				}
				headers := "X-Relay-Token: rt_" + canaryToken + "\r\n"
				if r.headers != "" {
					headers += r.headers + "\r\n"
				}
				res, body := sendRaw(t, f.URL, "GET "+r.target+" HTTP/1.1\r\nHost: h\r\n"+headers+"\r\n")
				if res.StatusCode != http.StatusBadRequest {
					t.Errorf("%s %s: got %d %s", r.target, r.headers, res.StatusCode, body)
					continue
				}
				wantError(t, res, body, errMisplacedToken)
				if strings.Contains(body, canaryToken) {
					t.Errorf("%s %s: the response holds the token", r.target, r.headers)
				}
			}
			res, body := sendRaw(t, f.URL,
				"GET /v1/realtime HTTP/1.1\r\n"+handshake+"X-Relay-Token: "+canaryToken+
					"\r\nSec-WebSocket-Protocol: realtime, x."+canaryToken+"\r\n\r\n")
			wantError(t, res, body, errMisplacedToken)
			f.untouched(t)
			if log := f.log.String(); strings.Contains(log, canaryToken) {
				t.Errorf("the log holds the token: %s", log)
			}
		}
	}
}

// keyCarries reports whether a held key replaces a header.
func keyCarries(name string) bool {
	switch strings.ToLower(name) {
	case "authorization", "api-key", "x-api-key", "x-goog-api-key", "openai-organization", "openai-project":
		return true
	}
	return false
}

// A token that another caller was given, and that is configured plainly, is found
// as well; what only looks like a short one is not.
func TestTokensOfOthers(t *testing.T) {
	f := newFront(t, ok, func(cfg *Config) {
		cfg.AccessTokens = []Secret{canaryToken, "another-token-0123456789",
			"models"}
	})
	shown := []string{"X-Relay-Token", canaryToken}
	res, body := send(t, "GET", f.URL+"/v1/files?x=another-token-0123456789", "", shown...)
	wantError(t, res, body, errMisplacedToken)
	res, body = send(t, "GET", f.URL+"/v1/files?key=models", "", shown...)
	wantError(t, res, body, errMisplacedToken)
	for _, path := range []string{"/v1/submodels", "/v1/models2", "/v1/files?canary-token",
		"/v1/files?" + canaryToken[1:]} {
		if res, body := send(t, "GET", f.URL+path, "", shown...); res.StatusCode != 200 {
			t.Errorf("%s: got %d %s", path, res.StatusCode, body)
		}
	}
}

// What never goes up may hold the token: proxies write down the path, which may
// carry it.
func TestTokensInWhatIsDropped(t *testing.T) {
	f := newFront(t, ok, func(cfg *Config) { cfg.AccessTokens, cfg.PathTokens = []Secret{canaryToken}, true })
	res, body := send(t, "GET", f.URL+"/t/"+canaryToken+"/v1/models", "", "X-Envoy-Original-Path",
		"/t/"+canaryToken+"/v1/models", "Referer", "https://h/t/"+canaryToken+"/")
	if res.StatusCode != 200 {
		t.Fatalf("got %d %s", res.StatusCode, body)
	}
	for name, values := range f.only(t).Header {
		if strings.Contains(strings.Join(values, ""), canaryToken) {
			t.Errorf("upstream got %s", name)
		}
	}
}

func TestDuplicateKeyHeaders(t *testing.T) {
	for _, tokens := range [][]Secret{nil, {canaryToken}} {
		f := newFront(t, ok, func(cfg *Config) { cfg.AccessTokens = tokens })
		for _, name := range []string{"Authorization", "X-Relay-Token", "Api-Key", "X-Api-Key", "X-Goog-Api-Key"} {
			res, body := send(t, "GET", f.URL+"/v1/models", "", name, "rt_"+canaryToken+".a", name, "b")
			wantError(t, res, body, errDuplicateAuthorization)
		}
		f.untouched(t)
	}
}

func TestGoogleKeyHeaderCarriesTokens(t *testing.T) {
	for _, key := range []Secret{"", "sk-held"} {
		f := newFront(t, ok, func(cfg *Config) { cfg.AccessTokens, cfg.APIKey = []Secret{canaryToken}, key })
		res, body := send(t, "GET", f.URL+"/v1/models", "", "X-Goog-Api-Key", "rt_"+canaryToken+".sk-a")
		if res.StatusCode != 200 {
			t.Fatalf("got %d %s", res.StatusCode, body)
		}
		h := f.only(t).Header
		if key == "" && h.Get("X-Goog-Api-Key") != "sk-a" || key != "" &&
			(h.Get("X-Goog-Api-Key") != "" || h.Get("Authorization") != "Bearer sk-held") {
			t.Errorf("upstream got %v", h)
		}
	}
}

// What belongs to the client's key never goes with the relay's.
func TestProtocolsBesideAHeldKey(t *testing.T) {
	for _, offered := range []string{
		"realtime, openai-organization.org-x, openai-project.proj-y",
		"realtime, OpenAI-Organization.org-x",
		`realtime, "openai-project.proj-y"`,
		"openai-organization.org-x\r\nSec-WebSocket-Protocol: realtime\r\nSec-WebSocket-Protocol: OPENAI-PROJECT.y",
		"realtime, OpenAI-Insecure-API-Key.sk-client",
		"openai-organization.org-x,realtime,openai-insecure-api-key.sk-client",
	} {
		f := newFront(t, echoUpgrade(t),
			func(cfg *Config) { cfg.AccessTokens, cfg.APIKey = []Secret{canaryToken}, "sk-held" })
		conn := dialRaw(t, f.URL)
		_, _ = io.WriteString(conn, "GET /v1/realtime HTTP/1.1\r\n"+handshake+"X-Relay-Token: "+canaryToken+
			"\r\nSec-WebSocket-Protocol: "+offered+"\r\n\r\n")
		if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || res.StatusCode != 101 {
			t.Fatalf("%q: %v %v", offered, res, err)
		}
		if got := strings.Join(f.only(t).Header.Values("Sec-Websocket-Protocol"), "|"); got != "realtime" {
			t.Errorf("%q: upstream got %q", offered, got)
		}
	}
}
