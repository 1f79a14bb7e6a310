package core

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/relay/core/protocol"
	"example.com/relay/internal/proc"
)

// The keys of the upstreams a and b, of the relay, and of a client. Each may be seen in
// one place only.
const (
	keyA      = "sk-CANARY-a-11111111"
	keyB      = "sk-CANARY-b-22222222"
	keyHeld   = "sk-CANARY-held-33333333"
	keyClient = "sk-CANARY-client-44444444"
)

// A sight is what one upstream saw: the dump of each request, with its health checks.
type sight struct {
	mu    sync.Mutex
	dumps []string
}

// through returns h, which notes what it gets.
func (s *sight) through(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		dump, _ := httputil.DumpRequest(req, false)
		s.mu.Lock()
		s.dumps = append(s.dumps, string(dump))
		s.mu.Unlock()
		h(w, req)
	}
}

// requests returns the dumps of what was no health check.
func (s *sight) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.dumps), func(dump string) bool {
		return strings.Contains(dump, protocol.HealthPath)
	})
}

func (s *sight) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.dumps, "\n")
}

// A keyring is a gateway whose upstreams may hold keys.
type keyring struct {
	*gateway
	keys   []Secret // of each upstream; "" for none
	sights []*sight
}

// newKeyring serves a gateway with access token canaryToken to upstreams that respond
// so; where that is nil, connections are refused.
func newKeyring(t *testing.T, change func(*Config), keys []Secret, answers ...http.HandlerFunc) *keyring {
	t.Helper()
	k := &keyring{keys: keys}
	for i, answer := range answers {
		k.sights = append(k.sights, new(sight))
		if answer != nil {
			answers[i] = k.sights[i].through(answer)
		}
	}
	k.gateway = newGateway(t, func(cfg *Config) {
		cfg.AccessTokens = []Secret{canaryToken}
		for i, address := range cfg.Upstreams {
			cfg.Upstreams[i] = withKey(address, keys[i])
			if keys[i] == "" && cfg.APIKey == "" {
				cfg.Upstreams[i] = Secret(strings.Replace(string(address), "://", "://rt_next-relay-token@", 1))
			}
			if answers[i] == nil {
				cfg.Upstreams[i] = withKey(Secret("http://"+proc.RefusingAddr(t)+"#"+string(rune('a'+i))), keys[i])
			}
		}
		if change != nil {
			change(cfg)
		}
	}, answers...)
	return k
}

// withKey returns an upstream's address with an API key.
func withKey(address, key Secret) Secret {
	if key == "" {
		return address
	}
	return Secret(strings.Replace(string(address), "://", "://:"+string(key)+"@", 1))
}

// noLeak fails t if a key was seen where it does not belong. The upstreams in others
// may have seen the client's key.
func (k *keyring) noLeak(t *testing.T, others ...int) {
	t.Helper()
	for i, s := range k.sights {
		seen := s.all()
		for _, key := range []string{keyA, keyB, keyClient} {
			mine := string(k.keys[i]) == key || key == keyClient && slices.Contains(others, i)
			if !mine && strings.Contains(seen, key) {
				t.Errorf("upstream %c saw %s:\n%s", 'a'+rune(i), key, seen)
			}
		}
		if k.keys[i] != "" && strings.Contains(seen, keyHeld) {
			t.Errorf("upstream %c saw the relay's key:\n%s", 'a'+rune(i), seen)
		}
	}
	_, health := send(t, "GET", k.URL+"/relay/health?deep=1", "", "X-Relay-Token", canaryToken)
	for what, text := range map[string]string{"log": k.log.String(), "health": health,
		"status": fmt.Sprint(k.relay.Upstreams())} {
		if strings.Contains(text, "CANARY") {
			t.Errorf("the %s shows a key:\n%s", what, text)
		}
	}
}

func resetConn(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path == protocol.HealthPath {
		w.Header().Set(protocol.Marker, "relay; origin=relay")
		return
	}
	_, _ = io.Copy(io.Discard, req.Body)
	panic(http.ErrAbortHandler)
}

func busy(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	w.WriteHeader(http.StatusServiceUnavailable)
}

// Each upstream gets its own key and no other, wherever a request goes and whatever the
// client shows.
func TestKeysOfUpstreams(t *testing.T) {
	token := []string{"X-Relay-Token", canaryToken}
	inKey := []string{"Authorization", "Bearer rt_" + canaryToken + "." + keyClient}
	tests := []struct {
		name    string
		keys    []Secret // of a, b and c
		held    Secret   // RELAY_API_KEY
		answers []http.HandlerFunc
		headers []string // of the client
		saw     string   // which upstreams saw the POST
		auth    string   // and the key that the last one of them got
		others  []int    // which may see the client's key
	}{
		{"own key", []Secret{keyA, keyB, keyA}, "", []http.HandlerFunc{ok, ok, ok}, token, "a", keyA, nil},
		{"refused", []Secret{keyA, keyB, keyA}, "", []http.HandlerFunc{nil, ok, ok}, token, "b", keyB, nil},
		{"unavailable", []Secret{keyA, keyB, keyA}, "", []http.HandlerFunc{busy, ok, ok}, token, "ab", keyB, nil},
		{"resent", []Secret{keyA, keyB, keyA}, "", []http.HandlerFunc{resetConn, ok, ok}, token, "ab", keyB, nil},
		{"client's key replaced", []Secret{keyA, keyB, keyA}, "", []http.HandlerFunc{busy, ok, ok}, inKey, "ab", keyB,
			nil},
		{"bare token as the key", []Secret{keyA, keyB, keyA}, "", []http.HandlerFunc{busy, ok, ok},
			[]string{"Authorization", "Bearer " + canaryToken}, "ab", keyB, nil},
		{"held key elsewhere", []Secret{keyA, "", keyB}, keyHeld, []http.HandlerFunc{busy, ok, ok}, inKey, "ab",
			keyHeld, nil},
		{"held key, then own", []Secret{"", keyB, keyA}, keyHeld, []http.HandlerFunc{busy, ok, ok}, inKey, "ab", keyB,
			nil},
		{"client's key, to a relay", []Secret{keyA, keyB, ""}, "", []http.HandlerFunc{ok, ok, byRelay(ok)}, inKey, "c",
			keyClient, []int{2}},
		{"client's key, in another header", []Secret{keyA, "", keyB}, "", []http.HandlerFunc{ok, byRelay(ok), ok},
			append([]string{"X-Api-Key", keyClient}, token...), "b", "", []int{1}},
		{"client's key, relay down", []Secret{keyA, "", keyB}, "", []http.HandlerFunc{ok, busy, ok}, inKey, "b",
			keyClient, []int{1}},
		{"empty key", []Secret{keyA, "", keyB}, "", []http.HandlerFunc{ok, byRelay(ok), ok},
			append([]string{"Authorization", "Bearer "}, token...), "a", keyA, nil},
		{"no key, to a relay that may hold one", []Secret{"", keyB, keyA}, "", []http.HandlerFunc{byRelay(ok), ok, ok},
			token, "a", "", nil},
		{"no key, relay down", []Secret{"", keyB, keyA}, "", []http.HandlerFunc{busy, ok, ok}, token, "ab", keyB, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k := newKeyring(t, func(cfg *Config) { cfg.APIKey, cfg.ResendAmbiguous = test.held, true }, test.keys,
				test.answers...)
			headers := append([]string{"Openai-Organization", "org-CANARY", "Openai-Project", "proj-CANARY",
				"Cf-Aig-Authorization", "Bearer cf-CANARY", "Ocp-Apim-Subscription-Key", "apim-CANARY"},
				test.headers...)
			res, body := send(t, "POST", k.URL+"/v1/chat/completions", "{}", headers...)
			saw, auth := "", ""
			for i, s := range k.sights {
				for _, dump := range s.requests() {
					saw += string(rune('a' + i))
					_, rest, _ := strings.Cut(dump, "\r\nAuthorization: Bearer ")
					auth, _, _ = strings.Cut(rest, "\r\n")
					if keyOwn := test.keys[i] != "" || test.held != ""; keyOwn && strings.Contains(dump, "org-CANARY") {
						t.Errorf("upstream %c saw the client's organization", 'a'+rune(i))
					}
					// for a gateway in front of the API
					for _, credential := range []string{"cf-CANARY", "apim-CANARY"} {
						if got, want := strings.Contains(dump, credential), test.keys[i] == ""; got != want {
							t.Errorf("upstream %c saw %s: %t, want %t", 'a'+rune(i), credential, got, want)
						}
					}
				}
			}
			if saw != test.saw || auth != test.auth {
				t.Errorf("upstreams %q saw it, the last one with %q, want %q with %q", saw, auth, test.saw, test.auth)
			}
			if strings.Contains(body+fmt.Sprint(res.Header), "CANARY") {
				t.Errorf("the response shows a key: %v %s", res.Header, body)
			}
			k.noLeak(t, test.others...)
		})
	}
}

// A base URL with a path, as Azure's is, gets the key as a bearer's.
func TestKeyForABasePath(t *testing.T) {
	var paths []string
	azure := func(w http.ResponseWriter, req *http.Request) {
		paths = append(paths, req.Method+" "+req.URL.RequestURI()+" "+req.Header.Get("Authorization"))
		ok(w, req)
	}
	for _, end := range []string{"/openai/v1", "/openai/v1/", "/openai"} {
		k := newKeyring(t, func(cfg *Config) {
			address, _, _ := strings.Cut(string(cfg.Upstreams[1]), "#")
			cfg.Upstreams[1] = Secret(address + end + "#azure")
		}, []Secret{keyA, keyB}, busy, azure)
		paths = nil
		res, body := send(t, "POST", k.URL+"/v1/responses?x=1", "{}", "X-Relay-Token", canaryToken)
		if want := []string{"POST /openai/v1/responses?x=1 Bearer " + keyB}; res.StatusCode != 200 ||
			!slices.Equal(paths, want) {
			t.Errorf("%s: %d %s, upstream saw %q, want %q", end, res.StatusCode, body, paths, want)
		}
		k.noLeak(t)
	}
}

// A hedge's connection carries the key of its upstream, and the late one carries none.
func TestKeyAfterAHedge(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // TLS never begins there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	k := newKeyring(t, func(cfg *Config) {
		cfg.Upstreams[0] = Secret("https://:" + keyA + "@" + silent.Addr().String() + "#a")
		cfg.AccessTokens, cfg.NamedTokens = nil, []NamedToken{
			{Name: "all", Token: canaryToken},
			{Name: "some", Token: "restricted-token-0123", Upstreams: []string{"a", "c"}},
		}
	}, []Secret{keyA, keyB, keyA}, ok, ok, ok)
	res, _ := send(t, "POST", k.URL+"/v1/chat/completions", "{}", "Authorization",
		"Bearer rt_"+canaryToken+"."+keyClient)
	if by := res.Header.Get("X-Relay-Upstream"); res.StatusCode != 200 || by != "b" {
		t.Errorf("%d by %q, want 200 by b", res.StatusCode, by)
	}
	res, _ = send(t, "POST", k.URL+"/v1/chat/completions", "{}", "X-Relay-Token", "restricted-token-0123")
	if by := res.Header.Get("X-Relay-Upstream"); res.StatusCode != 200 || by != "c" {
		t.Errorf("restricted: %d by %q, want 200 by c", res.StatusCode, by)
	}
	if n := len(k.sights[1].requests()); n != 1 {
		t.Errorf("b saw %d requests, want 1", n)
	}
	k.noLeak(t)
}

// A browser's WebSocket carries the key in its subprotocol.
func TestKeyOfWebSockets(t *testing.T) {
	for _, test := range []struct {
		offered, protocols, auth string
		keys                     []Secret
	}{
		{"realtime, openai-insecure-api-key.rt_" + canaryToken + "." + keyClient + ", openai-project.proj-CANARY",
			"realtime", "Bearer " + keyB, []Secret{keyA, keyB}},
		{"realtime, openai-insecure-api-key.rt_" + canaryToken, "realtime", "Bearer " + keyB, []Secret{keyA, keyB}},
		{"openai-insecure-api-key." + canaryToken, "", "Bearer " + keyB, []Secret{keyA, keyB}},
		{"realtime, openai-insecure-api-key.rt_" + canaryToken + "." + keyClient,
			"realtime, openai-insecure-api-key." + keyClient, "", []Secret{keyA, ""}},
		{"realtime, openai-insecure-api-key.rt_restricted-token-0123." + keyClient + ", openai-organization.org-CANARY",
			"realtime", "Bearer " + keyB, []Secret{"", keyB}},
	} {
		k := newKeyring(t, func(cfg *Config) {
			// It may use b only, whatever other upstreams hold no key.
			cfg.NamedTokens = []NamedToken{{Name: "b", Token: "restricted-token-0123", Upstreams: []string{"b"}}}
		}, test.keys, busy, byRelay(echoUpgrade(t)))
		conn := dialRaw(t, k.URL)
		_, _ = io.WriteString(conn, "GET /v1/realtime HTTP/1.1\r\n"+handshake+"Sec-WebSocket-Protocol: "+test.offered+
			"\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("%s: %v %v", test.offered, res, err)
		}
		conn.Close()
		dumps := k.sights[1].requests()
		if len(dumps) != 1 {
			t.Fatalf("b saw %d requests, want 1", len(dumps))
		}
		for name, want := range map[string]string{"Sec-Websocket-Protocol": test.protocols,
			"Authorization": test.auth} {
			_, rest, _ := strings.Cut(dumps[0], "\r\n"+name+": ")
			if got, _, _ := strings.Cut(rest, "\r\n"); got != want {
				t.Errorf("%s: b got %s %q, want %q", test.offered, name, got, want)
			}
		}
		var others []int
		if test.keys[1] == "" {
			others = []int{1}
		}
		k.noLeak(t, others...)
	}
}

// A redirection is the client's to follow.
func TestKeyAndRedirections(t *testing.T) {
	var k *keyring
	redirect := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(protocol.Marker, "a; origin=upstream")
		w.Header().Set("Location", k.regions[1].URL+"/v1/models")
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
	k = newKeyring(t, nil, []Secret{keyA, keyB}, redirect, ok)
	res, _ := send(t, "GET", k.URL+"/v1/models", "", "X-Relay-Token", canaryToken)
	if res.StatusCode != http.StatusTemporaryRedirect || len(k.sights[1].requests()) != 0 {
		t.Errorf("%d, and b saw %d requests", res.StatusCode, len(k.sights[1].requests()))
	}
	k.noLeak(t)
}

// Upstreams that change take their keys with them.
func TestKeysAfterSetUpstreams(t *testing.T) {
	k := newKeyring(t, nil, []Secret{keyA, ""}, ok, byRelay(ok))
	post := func() string {
		res, _ := send(t, "POST", k.URL+"/v1/chat/completions", "{}", "Authorization",
			"Bearer rt_"+canaryToken+"."+keyClient)
		return fmt.Sprint(res.StatusCode, " ", res.Header.Get("X-Relay-Upstream"))
	}
	if got := post(); got != "200 b" {
		t.Errorf("before: %s, want b, which holds no key", got)
	}
	a, b := Secret(k.regions[0].URL+"#a"), Secret(k.regions[1].URL+"#b")
	for _, bad := range [][]Secret{{withKey(a, keyA), b}, {a, withKey(b, keyB)}, {withKey(a, "sk CANARY")}} {
		if err := k.relay.SetUpstreams(bad); err == nil || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("SetUpstreams: %v, want an error without the key", err)
		}
	}
	if err := k.relay.SetUpstreams([]Secret{withKey(a, keyA), withKey(b, keyB)}); err != nil {
		t.Fatal(err)
	}
	k.sights[1].mu.Lock()
	k.sights[1].dumps = nil // which have the client's key
	k.sights[1].mu.Unlock()
	k.keys = []Secret{keyA, keyB}
	if got := post(); got != "200 a" {
		t.Errorf("after: %s, want a with its own key", got)
	}
	const newer = "sk-newer-key-of-b"
	if err := k.relay.SetUpstreams([]Secret{withKey(b, newer), withKey(a, keyA)}); err != nil {
		t.Fatal(err)
	}
	if got := post(); got != "200 b" || !strings.Contains(k.sights[1].all(), "Bearer "+newer) {
		t.Errorf("with another key: %s, and b saw %s", got, k.sights[1].all())
	}
	k.sights[1].mu.Lock()
	k.sights[1].dumps = nil
	k.sights[1].mu.Unlock()
	if err := k.relay.SetUpstreams([]Secret{withKey(b, keyB)}); err != nil {
		t.Fatal(err)
	}
	if got := post(); got != "200 " || len(k.sights[1].requests()) != 1 {
		t.Errorf("alone: %s, and b saw %d requests", got, len(k.sights[1].requests()))
	}
	k.noLeak(t)
	open := newFront(t, ok, nil)
	if err := open.relay.SetUpstreams([]Secret{withKey(a, keyA)}); err == nil ||
		!strings.Contains(err.Error(), "RELAY_ACCESS_TOKENS") {
		t.Errorf("a key without access tokens: %v", err)
	}
}

// Probes and deep checks show no key.
func TestKeysAndProbes(t *testing.T) {
	k := newKeyring(t, func(cfg *Config) { cfg.ProbeInterval = time.Second }, []Secret{keyA, keyB}, ok, ok)
	waitFor(t, "probes", func() bool { return strings.Contains(k.sights[1].all(), protocol.HealthPath) })
	_, health := send(t, "GET", k.URL+"/relay/health?deep=1", "")
	if !strings.Contains(health, `"holds_key":true`) {
		t.Errorf("health: %s", health)
	}
	for i, s := range k.sights {
		if seen := s.all(); strings.Contains(seen, "Authorization") || strings.Contains(seen, "CANARY") {
			t.Errorf("upstream %d saw a key in a check:\n%s", i, seen)
		}
	}
	k.noLeak(t)
}

func TestUpstreamSettings(t *testing.T) {
	cfg, err := ParseEnv([]string{"RELAY_ACCESS_TOKENS=t", `RELAY_UPSTREAMS= [
		{"url": "https://api.openai.com/v1", "api_key": "sk-1"},
		{"url": "https://name.openai.azure.com/openai/v1", "name": "azure", "api_key": "az/+=:@%2"},
		{"url": "https://relay.example", "token": "rt_t", "api_key": null}]`})
	want := []Secret{"https://:sk-1@api.openai.com/v1",
		"https://:az%2F+=%3A%40%252@name.openai.azure.com/openai/v1#azure", "https://rt_t@relay.example"}
	if err != nil || !slices.Equal(cfg.Upstreams, want) {
		t.Errorf("%q, %v", plain(cfg.Upstreams), err)
	}
	if cfg.HoldsKey() {
		t.Error("HoldsKey, although one upstream has none")
	}
	const openai = `{"url":"https://api.openai.com","api_key":"hunter2"}`
	for want, values := range map[string][]string{
		"must be a JSON list": {`[`, `[{]`, `[1]`, `[[]]`,
			`["https://a.example",` + openai + `]`, `[null]x`},
		"names no upstream": {`[]`},
		"unknown member":    {`[{"url":"https://a.example","key":"hunter2"}]`},
		"needs a url":       {`[{"api_key":"hunter2"}]`},
		"password": {`[{"url":"https://:hunter2@a.example"}]`,
			`https://:hunter2@a.example`, `https://rt_x:hunter2@a.example`, `["https://:hunter2@a.example"]`},
		"no API key has": {`[{"url":"https://a.example","api_key":"hunter 2"}]`,
			`[{"url":"https://a.example","api_key":"hunter,2"}]`},
		"is the same upstream as value 1": {`[` + openai +
			`,{"url":"https://api.openai.com/v1","api_key":"hunter3"}]`},
		"needs RELAY_ACCESS_TOKENS too":               {`[` + openai + `]`},
		"value 2: has neither an API key nor a token": {`[` + openai + `,{"url":"https://a.example"}]`},
	} {
		for _, value := range values {
			environ := []string{"RELAY_UPSTREAMS=" + value, "RELAY_ACCESS_TOKENS=t"}
			if strings.Contains(want, "ACCESS_TOKENS") {
				environ = environ[:1]
			}
			_, err := ParseEnv(environ)
			if err == nil || !strings.Contains(err.Error(), want) ||
				!strings.HasPrefix(err.Error(), "RELAY_UPSTREAMS") || strings.Contains(err.Error(), "hunter") {
				t.Errorf("%s: %v, want %q", value, err, want)
			}
		}
	}
	if _, err := ParseEnv([]string{"RELAY_API_KEY=sk", "RELAY_ACCESS_TOKENS=t",
		`RELAY_UPSTREAMS=[` + openai + `,{"url":"https://a.example"}]`}); err != nil {
		t.Errorf("with RELAY_API_KEY: %v", err)
	}
}

// A token goes to the upstreams that it names, and nowhere else.
func TestTokensOfUpstreams(t *testing.T) {
	const restricted = "restricted-token-0123"
	change := func(cfg *Config) {
		cfg.ResendAmbiguous = true
		cfg.NamedTokens = []NamedToken{{Name: "bob", Token: restricted, Upstreams: []string{"b", "d"}}}
	}
	for _, test := range []struct {
		name   string
		b, d   http.HandlerFunc
		status int
		saw    string
	}{
		{"first", ok, ok, 200, "b"},
		{"refused", nil, ok, 200, "d"},
		{"unavailable", busy, ok, 200, "bd"},
		{"resent", resetConn, ok, 200, "bd"},
		{"all down", busy, nil, 503, "b"},
		{"all refuse", nil, nil, 502, ""},
		{"all reset", resetConn, resetConn, 502, "bd"},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := newKeyring(t, change, []Secret{keyA, keyB, keyA, keyB}, ok, test.b, ok, test.d)
			res, body := send(t, "POST", k.URL+"/v1/chat/completions", "{}", "X-Relay-Token", restricted)
			saw := ""
			for i, s := range k.sights {
				saw += strings.Repeat(string(rune('a'+i)), len(s.requests()))
			}
			if res.StatusCode != test.status || saw != test.saw {
				t.Errorf("%d, seen by %q, want %d by %q: %s", res.StatusCode, saw, test.status, test.saw, body)
			}
			k.noLeak(t)
		})
	}
	k := newKeyring(t, change, []Secret{keyA, keyB, keyA, keyB}, ok, ok, ok, ok)
	if got, _ := tokenHealth(t, &k.front, restricted); !slices.Equal(got.Upstreams, []string{"b", "d"}) {
		t.Errorf("health says %+v", got)
	}
	shown := func(token string) string {
		t.Helper()
		names := ""
		for _, u := range k.health(t, "X-Relay-Token", token).Upstreams {
			names += u.Name
		}
		return names
	}
	if all := shown(canaryToken); all != "abcd" {
		t.Errorf("health lists the upstreams %s for a token without a restriction", all)
	}
	// One name has gone, then both.
	urls := func(names string) (list []Secret) {
		for _, name := range names {
			list = append(list, withKey(Secret(k.regions[name-'a'].URL+"#"+string(name)), keyA))
		}
		return list
	}
	for _, test := range []struct {
		upstreams, by string
		status        int
	}{{"acd", "d", 200}, {"ac", "", 502}, {"a", "", 502}, {"ab", "b", 200}} {
		if err := k.relay.SetUpstreams(urls(test.upstreams)); err != nil {
			t.Fatal(err)
		}
		res, body := send(t, "POST", k.URL+"/v1/chat/completions", "{}", "X-Relay-Token", restricted)
		if by := res.Header.Get("X-Relay-Upstream"); res.StatusCode != test.status || by != test.by {
			t.Errorf("%s: %d by %q, want %d by %q: %s", test.upstreams, res.StatusCode, by, test.status, test.by, body)
		}
		if names := shown(restricted); names != test.by {
			t.Errorf("%s: health lists the upstreams %q, want %q", test.upstreams, names, test.by)
		}
		// The page takes a list, if empty, to mean that the token is accepted.
		if _, health := send(t, "GET", k.URL+"/relay/health", "", "X-Relay-Token",
			restricted); !strings.Contains(health, `"upstreams":[`) {
			t.Errorf("%s: health has no list of upstreams: %s", test.upstreams, health)
		}
		if gone := strings.Contains(body, "b: removed, d: removed"); gone != (test.by == "") {
			t.Errorf("%s: %s", test.upstreams, body)
		}
	}
	if !strings.Contains(k.log.String(),
		`"msg":"token","token":"bob","problem":"it names an upstream that was removed`) {
		t.Errorf("log:\n%s", k.log)
	}
	if n := len(k.sights[0].requests()) + len(k.sights[2].requests()); n != 0 {
		t.Errorf("a and c saw %d requests", n)
	}
	_, err := New(Config{Upstreams: []Secret{"https://a.example"},
		NamedTokens: []NamedToken{{Name: "x", Token: "t-1", Upstreams: []string{"hunter"}}}})
	if err == nil || !strings.Contains(err.Error(), "names an upstream that is not in RELAY_UPSTREAMS") ||
		strings.Contains(err.Error(), "hunter") {
		t.Errorf("an unknown name: %v", err)
	}
}

const (
	outOfQuotaBody = `{"error":{"message":"You exceeded your current ` +
		`quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`
	rateLimitBody = `{"error":{"message":"Rate limit ` +
		`reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}`
)

// refuses responds with a JSON error.
func refuses(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// An account without credit sends a request on, if that is allowed and the key is the
// relay's.
func TestRetryQuota(t *testing.T) {
	quota, limited := refuses(429, outOfQuotaBody), refuses(429, rateLimitBody)
	token := []string{"X-Relay-Token", canaryToken}
	inKey := []string{"Authorization", "Bearer rt_" + canaryToken + "." + keyClient}
	both := []Secret{keyA, keyB}
	for _, test := range []struct {
		name    string
		on      bool
		keys    []Secret
		held    Secret
		a, b    http.HandlerFunc
		headers []string
		status  int
		by      string
		body    string
	}{
		{"on", true, both, "", quota, ok, token, 200, "b", "ok"},
		{"off", false, both, "", quota, ok, token, 429, "a", outOfQuotaBody},
		{"rate limit", true, both, "", limited, ok, token, 429, "a", rateLimitBody},
		{"both without credit", true, both, "", quota, quota, token, 429, "b", outOfQuotaBody},
		{"then a rate limit", true, both, "", quota, limited, token, 429, "b", rateLimitBody},
		{"then down", true, both, "", quota, nil, token, 429, "a", outOfQuotaBody},
		{"the client's key is replaced", true, both, "", quota, ok, inKey, 200, "b", "ok"},
		{"the relay's key", true, []Secret{"", ""}, keyHeld, byRelay(quota), byRelay(ok), inKey, 200, "b", "ok"},
		{"relays that hold keys", true, []Secret{"", ""}, "", byRelay(quota), byRelay(ok), token, 200, "b", "ok"},
		{"the client's own key", true, []Secret{"", ""}, "", byRelay(quota), byRelay(ok), inKey, 429, "a",
			outOfQuotaBody},
		{"a bad request", true, both, "", refuses(400, outOfQuotaBody), ok, token, 400, "a", outOfQuotaBody},
		{"text", true, both, "", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, outOfQuotaBody, http.StatusTooManyRequests)
		}, ok, token, 429, "a", outOfQuotaBody},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := newKeyring(t, func(cfg *Config) { cfg.RetryQuota, cfg.APIKey = test.on, test.held }, test.keys, test.a,
				test.b)
			headers := append([]string{"Accept-Encoding", "br, gzip;q=0.5, zstd"}, test.headers...)
			res, body := send(t, "POST", k.URL+"/v1/chat/completions", "{}", headers...)
			if by := res.Header.Get("X-Relay-Upstream"); res.StatusCode != test.status || by != test.by ||
				!strings.Contains(body, test.body) {
				t.Errorf("%d by %q, want %d by %q: %s", res.StatusCode, by, test.status, test.by, body)
			}
			own := test.name == "the client's own key"
			want := "br, gzip;q=0.5, zstd"
			if test.on && !own {
				want = "gzip;q=0.5"
			}
			if dump := k.sights[0].requests()[0]; !strings.Contains(dump, "\r\nAccept-Encoding: "+want+"\r\n") {
				t.Errorf("a was asked for another encoding than %q:\n%s", want, dump)
			}
			if !own {
				k.noLeak(t)
			}
		})
	}
}

// An upstream whose account has no credit is left alone for a while.
func TestQuotaEjects(t *testing.T) {
	k := newKeyring(t, func(cfg *Config) { cfg.RetryQuota = true }, []Secret{keyA, keyB}, refuses(429, outOfQuotaBody),
		ok)
	for range 3 {
		send(t, "POST", k.URL+"/v1/chat/completions", "{}", "X-Relay-Token", canaryToken)
	}
	if a, b := len(k.sights[0].requests()), len(k.sights[1].requests()); a != 1 || b != 3 {
		t.Errorf("a saw %d requests and b %d, want 1 and 3", a, b)
	}
	if h := k.health(t, "X-Relay-Token", canaryToken); h.Upstreams[0].State != "down" ||
		h.Upstreams[0].LastError != "insufficient_quota" {
		t.Errorf("health: %+v", h.Upstreams[0])
	}
}
