package core

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestPreflight(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat("x-h,", 200), ",")
	tests := []struct {
		name, origin, asked, want string
	}{
		{"one", "https://a.example", "authorization", "authorization"},
		{"SDK", "https://a.example", "authorization,content-type,x-stainless-lang,x-stainless-new",
			"authorization, content-type, x-stainless-lang, x-stainless-new"},
		{"spaces", "https://a.example", " a ,\tb", "a, b"},
		{"illegal", "https://a.example", `a b,c"d,<x>,ok,`, "ok"},
		{"none asked", "https://a.example", "", ""},
		{"null origin", "null", "a", "a"},
		{"too many", "https://a.example", many, strings.TrimSuffix(strings.Repeat("x-h, ", 64), ", ")},
		{"too long", "https://a.example", strings.Repeat("x", 5000), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			// Tokens are configured: a preflight carries none and gets a response all the same.
			f := newFront(t, ok, func(cfg *Config) { cfg.AccessTokens = []Secret{canaryToken} })
			headers := []string{"Origin", test.origin, "Access-Control-Request-Method", "POST"}
			if test.asked != "" {
				headers = append(headers, "Access-Control-Request-Headers", test.asked)
			}
			res, body := send(t, "OPTIONS", f.URL+"/v1/chat/completions", "", headers...)
			if res.StatusCode != 204 || body != "" {
				t.Errorf("got %d %q, want 204", res.StatusCode, body)
			}
			for name, want := range map[string]string{
				"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": test.want,
				"Access-Control-Max-Age":           "7200",
				"Access-Control-Allow-Credentials": "", "X-Relay": "relay; origin=relay",
				"Vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers, " +
					"Access-Control-Request-Private-Network",
			} {
				if got := strings.Join(res.Header.Values(name), "|"); got != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
			for _, method := range []string{"GET", "POST", "DELETE", "PUT", "PATCH", "HEAD"} {
				if !strings.Contains(res.Header.Get("Access-Control-Allow-Methods"), method) {
					t.Errorf("%s is not allowed", method)
				}
			}
			f.untouched(t)
		})
	}
}

func TestOptionsThatIsNoPreflight(t *testing.T) {
	for _, headers := range [][]string{nil, {"Origin", "https://a.example"},
		{"Access-Control-Request-Method", "POST"}} {
		f := newFront(t, ok, nil)
		if res, _ := send(t, "OPTIONS", f.URL+"/v1/models", "", headers...); res.StatusCode != 200 {
			t.Errorf("%q: status %d", headers, res.StatusCode)
		}
		f.only(t)
	}
}

func TestOrigins(t *testing.T) {
	tests := []struct {
		name    string
		allowed []string
		origin  string
		want    string
		vary    bool
	}{
		{"any", nil, "https://a.example", "*", false},
		{"listed", []string{"https://a.example", "http://localhost:3000"}, "http://localhost:3000",
			"http://localhost:3000", true},
		{"not listed", []string{"https://a.example"}, "https://b.example", "", true},
		{"listed, but not this scheme", []string{"https://a.example"}, "http://a.example", "", true},
		{"longer name", []string{"https://a.example"}, "https://a.example.evil.example", "", true},
		{"no browser", []string{"https://a.example"}, "", "", true},
		{"no browser, any", nil, "", "", false},
		{"off", []string{"none"}, "https://a.example", "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFront(t, ok, func(cfg *Config) { cfg.AllowedOrigins = test.allowed })
			for _, path := range []string{"/v1/models", "/nothing", "/relay/health"} {
				var headers []string
				if test.origin != "" {
					headers = []string{"Origin", test.origin}
				}
				res, _ := send(t, "GET", f.URL+path, "", headers...)
				if got := strings.Join(res.Header.Values("Access-Control-Allow-Origin"), "|"); got != test.want {
					t.Errorf("%s: Access-Control-Allow-Origin = %q, want %q", path, got, test.want)
				}
				if got := slices.Contains(res.Header.Values("Vary"), "Origin"); got != test.vary {
					t.Errorf("%s: Vary = %q, want Origin: %t", path, res.Header.Values("Vary"), test.vary)
				}
			}
			res, _ := send(t, "OPTIONS", f.URL+"/v1/models", "", "Origin", cmpOr(test.origin, "https://b.example"),
				"Access-Control-Request-Method", "POST")
			want := test.want
			if test.origin == "" && test.allowed == nil {
				want = "*"
			}
			if got := res.Header.Get("Access-Control-Allow-Origin"); res.StatusCode != 204 || got != want {
				t.Errorf("preflight: %d %q, want 204 %q", res.StatusCode, got, want)
			}
		})
	}
}

func cmpOr(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func TestExposedHeadersAreThoseSent(t *testing.T) {
	f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Request-Id", "1")
		w.Header().Set("X-Ratelimit-Remaining-Tokens", "2")
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Access-Control-Expose-Headers", "X-Other")
		w.Header().Set("Access-Control-Allow-Origin", "https://upstream.example")
	}, nil)
	res, _ := send(t, "GET", f.URL+"/v1/models", "", "Origin", "https://a.example")
	if got, want := strings.Join(res.Header.Values("Access-Control-Expose-Headers"), "|"),
		"Date, X-Ratelimit-Remaining-Tokens, X-Relay, X-Request-Id"; got != want {
		t.Errorf("Access-Control-Expose-Headers = %q, want %q", got, want)
	}
	if got := res.Header.Values("Access-Control-Allow-Origin"); len(got) != 1 || got[0] != "*" {
		t.Errorf("Access-Control-Allow-Origin = %q", got)
	}
	res, _ = send(t, "GET", f.URL+"/nothing", "", "Origin", "https://a.example")
	if got := res.Header.Get("Access-Control-Expose-Headers"); !strings.Contains(got, "X-Relay-Error") ||
		!strings.Contains(got, "X-Should-Retry") {
		t.Errorf("of an error, Access-Control-Expose-Headers = %q", got)
	}
}

// FuzzPreflight: whatever a preflight asks for, what is reflected is a list of
// header names within the bounds.
func FuzzPreflight(f *testing.F) {
	for _, seed := range []string{"authorization,content-type", "a b", "x\r\ny: z", strings.Repeat("a,", 100), "\x00",
		"é", `"`} {
		f.Add(seed, seed)
	}
	c := newCORS(Config{}.withDefaults())
	f.Fuzz(func(t *testing.T, one, two string) {
		h := make(http.Header)
		c.preflight(h, &http.Request{Method: "OPTIONS", Header: http.Header{
			"Origin": {"https://a.example"}, "Access-Control-Request-Method": {"POST"},
			"Access-Control-Request-Headers": {one, two},
		}})
		list := h.Get("Access-Control-Allow-Headers")
		if list == "" {
			return
		}
		names := strings.Split(list, ", ")
		if len(names) > maxPreflightNames || len(list) > maxPreflightBytes {
			t.Errorf("%d names, %d bytes", len(names), len(list))
		}
		for _, name := range names {
			if !isToken(name) {
				t.Errorf("reflected %q", name)
			}
		}
	})
}

// A page on the web may call a relay on its user's machine if its origin may.
func TestPrivateNetworkAccess(t *testing.T) {
	for _, test := range []struct {
		origins, origin, asks string
		allowed               bool
	}{
		{"*", "https://chat.example", "true", true},
		{"https://chat.example", "https://chat.example", "true", true},
		{"https://chat.example", "https://evil.example", "true", false},
		{"none", "https://chat.example", "true", false},
		{"*", "https://chat.example", "", false},
		{"*", "https://chat.example", "false", false},
	} {
		f := newFront(t, ok, func(cfg *Config) { cfg.AllowedOrigins = []string{test.origins} })
		res, _ := send(t, "OPTIONS", f.URL+"/v1/models", "", "Origin", test.origin, "Access-Control-Request-Method",
			"GET", "Access-Control-Request-Private-Network", test.asks)
		want := ""
		if test.allowed {
			want = "true"
		}
		if got := res.Header.Get("Access-Control-Allow-Private-Network"); res.StatusCode != 204 || got != want {
			t.Errorf("%+v: %d, allowed %q", test, res.StatusCode, got)
		}
		if !strings.Contains(res.Header.Get("Vary"), "Access-Control-Request-Private-Network") {
			t.Errorf("%+v: Vary %q", test, res.Header.Get("Vary"))
		}
		f.untouched(t)
	}
	// holds a token
	f := newFront(t, ok, func(cfg *Config) { cfg.Upstreams = []Secret{"http://rt_canary@127.0.0.1:1"} })
	f.start(t, "http://rt_canary@127.0.0.1:1", nil)
	res, _ := send(t, "OPTIONS", f.URL+"/v1/models", "", "Origin", "https://chat.example",
		"Access-Control-Request-Method", "GET", "Access-Control-Request-Private-Network", "true")
	if got := res.Header.Get("Access-Control-Allow-Private-Network"); got != "" {
		t.Errorf("a relay that holds a token lets any page call it: %q", got)
	}
}
