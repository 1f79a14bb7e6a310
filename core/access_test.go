package core

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
)

func TestAccessTokens(t *testing.T) {
	sum := sha256.Sum256([]byte("second-token"))
	tokens := []Secret{canaryToken, Secret("sha256:" + hex.EncodeToString(sum[:])), "rt_third-token"}
	const (
		pass   = 200
		refuse = 401
	)
	tests := []struct {
		name    string
		headers []string
		status  int
		key     string // Authorization that the upstream gets
	}{
		{"none", nil, refuse, ""},
		{"key alone", []string{"Authorization", "Bearer " + canaryKey}, refuse, ""},
		{"header", []string{"X-Relay-Token", canaryToken, "Authorization", "Bearer " + canaryKey}, pass,
			"Bearer " + canaryKey},
		{"header with prefix", []string{"X-Relay-Token", "rt_" + canaryToken}, pass, ""},
		{"header, hashed token", []string{"X-Relay-Token", "second-token"}, pass, ""},
		{"header, hashed token with prefix", []string{"X-Relay-Token", "rt_second-token"}, pass, ""},
		{"header, token configured with prefix", []string{"X-Relay-Token", "third-token"}, pass, ""},
		{"in the key", []string{"Authorization", "Bearer rt_" + canaryToken + "." + canaryKey}, pass,
			"Bearer " + canaryKey},
		{"in the key, dots in the key", []string{"Authorization", "Bearer rt_third-token.sk-a.b.c"}, pass,
			"Bearer sk-a.b.c"},
		{"in the key, tab", []string{"Authorization", "Bearer\trt_third-token.sk-a"}, pass, "Bearer sk-a"},
		{"in the key, no scheme", []string{"Authorization", "rt_third-token.sk-a"}, pass, "Bearer sk-a"},
		{"in the key, twice", []string{"Authorization", "Bearer rt_" + canaryToken + ".rt_" + canaryToken + ".sk-a"},
			pass, ""},
		{"in another key header", []string{"Api-Key", "rt_" + canaryToken + ".k", "X-Api-Key", "rt_" + canaryToken},
			pass, ""},
		{"header, empty, before key", []string{"X-Relay-Token", "", "Authorization",
			"Bearer rt_" + canaryToken + ".sk-a"}, pass, "Bearer sk-a"},
		{"in the key, other case", []string{"Authorization", "bearer  rt_third-token.sk-a"}, pass, "Bearer sk-a"},
		{"in the key, no key", []string{"Authorization", "Bearer rt_" + canaryToken}, pass, ""},
		{"in the key, empty key", []string{"Authorization", "Bearer rt_" + canaryToken + "."}, pass, ""},
		{"header before key", []string{"X-Relay-Token", canaryToken, "Authorization", "Bearer rt_wrong.sk-a"}, pass,
			"Bearer sk-a"},
		{"wrong header before key", []string{"X-Relay-Token", "wrong", "Authorization",
			"Bearer rt_" + canaryToken + ".sk-a"}, refuse, ""},
		{"wrong", []string{"X-Relay-Token", "wrong"}, refuse, ""},
		{"empty", []string{"X-Relay-Token", ""}, refuse, ""},
		{"prefix alone", []string{"X-Relay-Token", "rt_"}, refuse, ""},
		{"beginning of a token", []string{"X-Relay-Token", canaryToken[:10]}, refuse, ""},
		{"more than a token", []string{"X-Relay-Token", canaryToken + "x"}, refuse, ""},
		{"long", []string{"X-Relay-Token", strings.Repeat("x", 40<<10)}, refuse, ""},
		{"the hash itself", []string{"X-Relay-Token", string(tokens[1])}, refuse, ""},
		{"hash digits", []string{"X-Relay-Token", hex.EncodeToString(sum[:])}, refuse, ""},
		{"basic scheme", []string{"Authorization", "Basic " + canaryToken}, refuse, ""},
		{"underscore twin", []string{"X_Relay_Token", canaryToken}, refuse, ""},
		{"in the query", []string{}, refuse, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFront(t, ok, func(cfg *Config) { cfg.AccessTokens = tokens })
			url := f.URL + "/v1/models"
			if test.name == "in the query" {
				url += "?token=" + canaryToken
			}
			res, body := send(t, "GET", url, "", test.headers...)
			if res.StatusCode != test.status {
				t.Fatalf("status %d, want %d: %s", res.StatusCode, test.status, body)
			}
			if test.status == refuse {
				wantError(t, res, body, errAccess)
				f.untouched(t)
				return
			}
			h := f.only(t).Header
			if got := h.Get("Authorization"); got != test.key {
				t.Errorf("upstream got Authorization %q, want %q", got, test.key)
			}
			for name, values := range h {
				if strings.Contains(strings.Join(values, ""), canaryToken) {
					t.Errorf("upstream got the token in %s", name)
				}
			}
		})
	}
}

func TestMissingAndWrongTokenGetTheSameResponse(t *testing.T) {
	f := newFront(t, ok, func(cfg *Config) { cfg.AccessTokens = []Secret{canaryToken} })
	answer := func(headers ...string) string {
		res, body := send(t, "GET", f.URL+"/v1/models", "", headers...)
		res.Header.Del("X-Request-Id")
		res.Header.Del("Date")
		var b strings.Builder
		_ = res.Header.Write(&b)
		return res.Status + b.String() + body
	}
	missing := answer()
	for _, wrong := range []string{"", "x", canaryToken[1:], canaryKey} {
		if got := answer("X-Relay-Token", wrong); got != missing {
			t.Errorf("token %q:\n%s\nmissing token:\n%s", wrong, got, missing)
		}
	}
}

func TestTokensNeverPassAnOpenRelay(t *testing.T) {
	f := newFront(t, ok, nil)
	for _, headers := range [][]string{
		{"Authorization", "Bearer rt_" + canaryToken + "." + canaryKey},
		{"Authorization", "Bearer rt_" + canaryToken},
		{"X-Relay-Token", canaryToken},
	} {
		if res, _ := send(t, "GET", f.URL+"/v1/models", "", headers...); res.StatusCode != 200 {
			t.Errorf("%q: status %d", headers[0], res.StatusCode)
		}
	}
	for _, seen := range f.requests() {
		if got := seen.Header.Get("Authorization"); got != "" && got != "Bearer "+canaryKey {
			t.Errorf("upstream got Authorization %q", got)
		}
	}
}

func TestDuplicateCredentials(t *testing.T) {
	f := newFront(t, ok, func(cfg *Config) { cfg.AccessTokens = []Secret{canaryToken} })
	for _, name := range []string{"Authorization", "X-Relay-Token"} {
		res, body := send(t, "GET", f.URL+"/v1/models", "", "X-Relay-Token", canaryToken, name, "Bearer a", name,
			"Bearer b")
		wantError(t, res, body, errDuplicateAuthorization)
	}
	f.untouched(t)
}

func TestHeldKey(t *testing.T) {
	for _, headers := range [][]string{
		{"Authorization", "Bearer " + canaryToken},
		{"Authorization", "Bearer rt_" + canaryToken},
		{"Authorization", "Bearer rt_" + canaryToken + ".sk-mine"},
		{"X-Relay-Token", canaryToken, "Authorization", "Bearer sk-mine"},
		{"X-Relay-Token", canaryToken},
	} {
		f := newFront(t, ok, func(cfg *Config) { cfg.AccessTokens, cfg.APIKey = []Secret{canaryToken}, canaryKey })
		headers = append(headers, "OpenAI-Organization", "org-mine", "OpenAI-Project", "proj-mine", "Api-Key", "mine",
			"OpenAI-Beta", "x")
		if res, body := send(t, "GET", f.URL+"/v1/models", "", headers...); res.StatusCode != 200 {
			t.Fatalf("%q: %s", headers, body)
		}
		h := f.only(t).Header
		if got := h.Get("Authorization"); got != "Bearer "+canaryKey {
			t.Errorf("%q: upstream got Authorization %q", headers, got)
		}
		if h.Get("Openai-Organization") != "" || h.Get("Openai-Project") != "" || h.Get("Api-Key") != "" ||
			h.Get("Openai-Beta") != "x" {
			t.Errorf("%q: upstream got %v", headers, h)
		}
	}
	f := newFront(t, ok, func(cfg *Config) { cfg.AccessTokens, cfg.APIKey = []Secret{canaryToken}, canaryKey })
	for _, headers := range [][]string{nil, {"Authorization", "Bearer sk-mine"},
		{"Authorization", "Bearer " + canaryKey}} {
		res, body := send(t, "GET", f.URL+"/v1/models", "", headers...)
		wantError(t, res, body, errAccess)
	}
	f.untouched(t)
}

func TestPathTokens(t *testing.T) {
	tests := []struct {
		path   string
		status int
		want   string // what the upstream sees
	}{
		{"/t/" + canaryToken + "/v1/models?a=1", 200, "/v1/models?a=1"},
		{"/t/rt_" + canaryToken + "/v1/a%20b", 200, "/v1/a%20b"},
		{"/t/wrong/v1/models", 401, ""},
		{"/t//v1/models", 400, ""},
		{"/t/" + canaryToken, 401, ""},
		{"/t/" + canaryToken + "/", 404, ""},
		{"/t/" + canaryToken + "/v2/x", 404, ""},
		{"/t/" + canaryToken + "/relay/health", 404, ""},
		{"/t/" + canaryToken + "/t/" + canaryToken + "/v1/models", 401, ""},
		{"/t/" + canaryToken + "%2f/v1/models", 400, ""},
		{"/t/" + canaryToken + "/../v1/models", 400, ""},
		{"/t/" + strings.ReplaceAll(canaryToken, "-", "%2d") + "/v1/models", 401, ""},
		{"/v1/models", 401, ""},
	}
	for _, test := range tests {
		f := newFront(t, ok, func(cfg *Config) { cfg.AccessTokens, cfg.PathTokens = []Secret{canaryToken}, true })
		res, body := sendRaw(t, f.URL, "GET "+test.path+" HTTP/1.1\r\nHost: h\r\n\r\n")
		if res.StatusCode != test.status {
			t.Errorf("%s: status %d, want %d: %s", test.path, res.StatusCode, test.status, body)
		}
		if test.want == "" {
			f.untouched(t)
		} else if got := f.only(t).RequestURI; got != test.want {
			t.Errorf("%s: upstream saw %s, want %s", test.path, got, test.want)
		}
		if strings.Contains(f.log.String(), canaryToken) {
			t.Errorf("%s: token in the log", test.path)
		}
	}
}

// FuzzToken: only the configured token admits, and what an admitted request
// shows the upstream holds no token.
func FuzzToken(f *testing.F) {
	for _, seed := range [][3]string{
		{canaryToken, "", ""}, {"", "Bearer rt_" + canaryToken + ".k", ""}, {"", "Bearer " + canaryToken, ""},
		{"", "", "realtime, openai-insecure-api-key.rt_" + canaryToken + ".k"}, {"rt_", "bearer\trt_.", ",,"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	a := newAccess(Config{AccessTokens: []Secret{canaryToken}}, nil)
	f.Fuzz(func(t *testing.T, token, authorization, protocol string) {
		req := &http.Request{Method: "GET", URL: mustURL(t, "/v1/models"), Header: http.Header{
			"X-Relay-Token": {token}, "Authorization": {authorization}, "Sec-Websocket-Protocol": {protocol},
		}}
		if token == "" {
			delete(req.Header, "X-Relay-Token")
		}
		if a.admit(req) != nil {
			return
		}
		if !strings.Contains(token+authorization+protocol, canaryToken) {
			t.Fatalf("admitted %q %q %q", token, authorization, protocol)
		}
		for name, values := range outboundHeader(req.Header) {
			if v := strings.Join(values, ""); strings.Contains(v, "rt_"+canaryToken) {
				t.Errorf("upstream would get %s: %q", name, v)
			}
		}
	})
}
