package core

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/relay/core/protocol"
)

// hashOf returns a token's hash as the setting has it.
func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// withTokens returns the function for newFront that sets named tokens.
func withTokens(tokens ...NamedToken) func(*Config) {
	return func(cfg *Config) { cfg.NamedTokens = tokens }
}

func TestNamedTokens(t *testing.T) {
	past, future := time.Now().Add(-time.Second), time.Now().Add(time.Hour)
	const expired = "expired-token-0123456789"
	tests := []struct {
		name         string
		method, path string
		token        string
		want         *Error // nil: it is forwarded
		logged       string // name of the token in the log
	}{
		{"valid", "GET", "/v1/models", canaryToken, nil, "alice"},
		{"valid, with prefix", "GET", "/v1/models/gpt", "rt_" + canaryToken, nil, "alice"},
		{"valid, in the path", "POST", "/t/" + canaryToken + "/v1/responses", "", nil, "alice"},
		{"below a path", "GET", "/v1/responses/resp_1", canaryToken, nil, "alice"},
		{"other path", "GET", "/v1/files", canaryToken, errTokenNotAllowed, "alice"},
		{"other path by a token in the path", "GET", "/t/" + canaryToken + "/v1/files", "", errTokenNotAllowed,
			"alice"},
		{"path with the same beginning", "GET", "/v1/models2", canaryToken, errTokenNotAllowed, "alice"},
		{"path, encoded", "GET", "/v1/%6dodels", canaryToken, errTokenNotAllowed, "alice"},
		{"path, other case", "GET", "/v1/Models", canaryToken, errTokenNotAllowed, "alice"},
		{"other method", "DELETE", "/v1/models", canaryToken, errTokenNotAllowed, "alice"},
		{"expired", "GET", "/v1/models", expired, errTokenExpired, "bob"},
		{"expired, other path", "DELETE", "/v1/files", expired, errTokenExpired, "bob"},
		{"wrong", "GET", "/v1/models", expired + "x", errAccess, ""},
		{"none", "GET", "/v1/models", "", errAccess, ""},
		{"unnamed", "GET", "/v1/files", "unnamed-token", nil, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFront(t, ok, func(cfg *Config) {
				cfg.AccessTokens, cfg.PathTokens = []Secret{"unnamed-token"}, true
				cfg.NamedTokens = []NamedToken{
					{Name: "bob", Token: expired, Expires: past, Paths: []string{"/v1/models"}},
					{Name: "alice", Token: Secret(hashOf(canaryToken)), Expires: future,
						Paths: []string{"/v1/models/", "/v1/responses"}, Methods: []string{"GET", "POST"}},
				}
			})
			headers := []string{"Authorization", "Bearer " + canaryKey}
			if test.token != "" {
				headers = append(headers, "X-Relay-Token", test.token)
			}
			res, body := send(t, test.method, f.URL+test.path, "", headers...)
			waitForLog(t, f, "duration_ms")
			log := f.log.String()
			if test.want != nil {
				wantError(t, res, body, test.want)
				f.untouched(t)
			} else if h := f.only(t).Header; res.StatusCode != 200 || h.Get("Authorization") != "Bearer "+canaryKey {
				t.Errorf("%d %s, upstream got %v", res.StatusCode, body, h)
			}
			lines := records(t, log)
			if got, _ := lines[len(lines)-1]["token"].(string); got != test.logged {
				t.Errorf("the log has the token %q, want %q", got, test.logged)
			}
			// The hashes have it even where the token is plain.
			for _, secret := range []string{canaryToken, canaryKey, expired, hashOf(canaryToken)[7:15],
				hashOf(expired)[7:15]} {
				for what, text := range map[string]string{"log": log, "body": body, "header": fmt.Sprint(res.Header)} {
					if strings.Contains(text, secret) {
						t.Errorf("%s shows %q:\n%s", what, secret, text)
					}
				}
			}
			if !strings.Contains(log, `"token":"bob","problem"`) {
				t.Errorf("no warning of the token that has expired in\n%s", log)
			}
		})
	}
}

// A wrong token gets the same response, whatever the tokens are.
func TestWrongTokensDoNotShowThatTokensHaveNames(t *testing.T) {
	var responses []string
	for _, change := range []func(*Config){
		func(cfg *Config) { cfg.AccessTokens = []Secret{canaryToken} },
		withTokens(NamedToken{Name: "alice", Token: canaryToken, Expires: time.Unix(0, 0), Paths: []string{"/v1/x"},
			PerMinute: 1}),
	} {
		f := newFront(t, ok, change)
		for range 3 {
			res, body := send(t, "GET", f.URL+"/v1/models", "", "X-Relay-Token", "alice")
			res.Header.Del("X-Request-Id")
			res.Header.Del("Date")
			responses = append(responses, fmt.Sprint(res.Status, res.Header, body))
		}
	}
	for _, got := range responses[1:] {
		if got != responses[0] {
			t.Errorf("got\n%s, want\n%s", got, responses[0])
		}
	}
}

// Of requests at the same time, exactly as many as allowed are in flight, and their
// end makes room for as many.
func TestTokenInFlight(t *testing.T) {
	const limit, clients = 3, 100
	release := make(chan struct{})
	f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
		<-release
		ok(w, req)
	}, withTokens(NamedToken{Name: "alice", Token: canaryToken, MaxInFlight: limit},
		NamedToken{Name: "bob", Token: "other-token"}))
	for round := range 3 {
		var wait sync.WaitGroup
		var served, refused atomic.Int64
		for range clients {
			wait.Go(func() {
				res, body := send(t, "GET", f.URL+"/v1/models", "", "X-Relay-Token", canaryToken)
				if res.StatusCode == 200 {
					served.Add(1)
					return
				}
				wantError(t, res, body, errTokenInFlight)
				refused.Add(1)
			})
		}
		waitFor(t, "every request to be in flight or refused", func() bool {
			return len(f.requests())-limit*round+int(refused.Load()) == clients
		})
		for range limit {
			release <- struct{}{}
		}
		hangUp := time.AfterFunc(5*time.Second, func() { f.upstream.CloseClientConnections() }) // of any more
		wait.Wait()
		hangUp.Stop()
		if served.Load() != limit || refused.Load() != clients-limit {
			t.Fatalf("round %d: %d served, %d refused", round, served.Load(), refused.Load())
		}
		waitFor(t, "all requests to end", f.idle)
	}
}

// A stream counts until it ends, as does one whose client leaves; others are not
// affected.
func TestTokenInFlightCountsStreams(t *testing.T) {
	begun := make(chan bool, 1)
	f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
		if req.Method == "GET" {
			ok(w, req)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, event)
		_ = http.NewResponseController(w).Flush()
		begun <- true
		<-req.Context().Done()
	}, withTokens(NamedToken{Name: "alice", Token: canaryToken, MaxInFlight: 1},
		NamedToken{Name: "bob", Token: "other-token", MaxInFlight: 1}))
	stream := do(t, newRequest(t, "POST", f.URL+"/v1/chat/completions", "{}", "X-Relay-Token", canaryToken))
	receive(t, begun, "the stream")
	res, body := send(t, "GET", f.URL+"/v1/models", "", "X-Relay-Token", canaryToken)
	wantError(t, res, body, errTokenInFlight)
	if res, body := send(t, "GET", f.URL+"/v1/models", "", "X-Relay-Token", "other-token"); res.StatusCode != 200 {
		t.Errorf("another token: %d %s", res.StatusCode, body)
	}
	if h, _ := tokenHealth(t, f, canaryToken); h == nil {
		t.Error("health counts as a request")
	}
	stream.Body.Close()
	waitFor(t, "the stream to end", f.idle)
	if res, body := send(t, "GET", f.URL+"/v1/models", "", "X-Relay-Token", canaryToken); res.StatusCode != 200 {
		t.Errorf("after the stream: %d %s", res.StatusCode, body)
	}
}

// idle reports whether no request is in flight.
func (f *front) idle() bool {
	f.relay.mu.Lock()
	defer f.relay.mu.Unlock()
	return f.relay.active == 0
}

// waitFor waits until ok reports true.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// A minute's requests may come at once, then one in each part of it, and no more in
// all; one that is refused costs nothing.
func TestTokenPerMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTokenBubble(t, NamedToken{Name: "alice", Token: canaryToken, PerMinute: 6})
		for i := range 6 {
			if res := b.get(canaryToken); res.StatusCode != 200 {
				t.Fatalf("request %d: status %d", i+1, res.StatusCode)
			}
		}
		res := b.get(canaryToken)
		wantError(t, res, readAll(t, res), errTokenRate)
		if wait := res.Header.Get("Retry-After-Ms"); wait != "8000" {
			t.Errorf("Retry-After-Ms %s, want the max", wait)
		}
		time.Sleep(7 * time.Second)
		if wait := b.get(canaryToken).Header.Get("Retry-After-Ms"); wait != "3001" {
			t.Errorf("Retry-After-Ms %s, want what is left of 10 seconds", wait)
		}
		time.Sleep(3001 * time.Millisecond)
		for i, want := range []int{200, 429} {
			if got := b.get(canaryToken).StatusCode; got != want {
				t.Errorf("request %d after the pause: status %d, want %d", i+1, got, want)
			}
		}
		time.Sleep(time.Hour)
		served := 0
		for range 600 {
			if b.get(canaryToken).StatusCode == 200 {
				served++
			}
			time.Sleep(time.Second)
		}
		if served != 6+59 { // at 0 s, 10 s, … 590 s, and what was saved before
			t.Errorf("%d requests were served in 10 minutes, want 65", served)
		}
	})
}

// Requests at the same time take no more than there is.
func TestTokenPerMinuteRace(t *testing.T) {
	const limit = 50
	f := newFront(t, ok, withTokens(NamedToken{Name: "alice", Token: canaryToken, PerMinute: limit}))
	var wait sync.WaitGroup
	var served atomic.Int64
	start := time.Now()
	for range 100 {
		wait.Go(func() {
			for range 3 {
				if res, _ := send(t, "GET", f.URL+"/v1/models", "", "X-Relay-Token",
					canaryToken); res.StatusCode == 200 {
					served.Add(1)
				}
			}
		})
	}
	wait.Wait()
	more := int64(time.Since(start)/(time.Minute/limit)) + 1
	if n := served.Load(); n < limit || n > limit+more {
		t.Errorf("%d requests were served, want %d to %d", n, limit, limit+more)
	}
}

// A token ends at its time, on a relay that runs.
func TestTokenExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTokenBubble(t, NamedToken{Name: "alice", Token: canaryToken, Expires: time.Now().Add(time.Hour)})
		for _, step := range []struct {
			after  time.Duration
			status int
		}{{0, 200}, {time.Hour - time.Nanosecond, 200}, {time.Nanosecond, 401}, {time.Hour, 401}} {
			time.Sleep(step.after)
			if got := b.get(canaryToken).StatusCode; got != step.status {
				t.Errorf("%s later: status %d, want %d", step.after, got, step.status)
			}
		}
	})
}

// A clock that is set back does not lock a token out.
func TestTokenRateAfterTheClockIsSetBack(t *testing.T) {
	g := &grant{NamedToken: NamedToken{PerMinute: 1}}
	now := time.Now()
	if err := g.begin(now); err != nil {
		t.Fatal(err)
	}
	if err := g.begin(now.Add(time.Second)); err == nil {
		t.Error("a second request in the minute is served")
	}
	if err := g.begin(now.Add(-time.Hour)); err != nil {
		t.Errorf("an hour earlier: %v", err)
	}
}

// A tokenBubble is a relay without a network, for tests of time.
type tokenBubble struct{ relay *Relay }

func newTokenBubble(t *testing.T, tokens ...NamedToken) tokenBubble {
	t.Helper()
	relay, err := New(Config{NamedTokens: tokens, Logger: slog.New(slog.DiscardHandler),
		Transport: roundTripFunc(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody,
				Header: http.Header{}}, nil
		})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(relay.stop)
	return tokenBubble{relay}
}

func (b tokenBubble) get(token string) *http.Response {
	req := httptest.NewRequest("GET", "/v1/models", nil)
	req.Header.Set("X-Relay-Token", token)
	w := httptest.NewRecorder()
	b.relay.ServeHTTP(w, req)
	return w.Result()
}

func readAll(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A gateway forwards what a relay says of the gateway's own token: its rate is the
// operator's will, another upstream may know the token better.
func TestTokenErrorsThroughAGateway(t *testing.T) {
	relayError := func(e *Error, calls *atomic.Int64) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Path == protocol.HealthPath {
				w.Header().Set(protocol.Marker, protocol.RelayMarker("one"))
				_, _ = io.WriteString(w, `{"status":"ok","name":"one"}`)
				return
			}
			calls.Add(1)
			e.ServeHTTP(w, req)
		}))
		t.Cleanup(server.Close)
		return strings.Replace(server.URL, "http://", "http://rt_"+canaryToken+"@", 1) + "#one"
	}
	for _, test := range []struct {
		err      *Error
		failover bool
		state    string // of the relay, afterwards
	}{
		{errTokenRate, false, "up"}, {errTokenInFlight, false, "up"}, {errTokenNotAllowed, true, "up"},
		{errTokenExpired, true, "down"},
	} {
		t.Run(test.err.Code, func(t *testing.T) {
			var first atomic.Int64
			address := relayError(test.err, &first)
			f := newFront(t, ok, nil)
			f.start(t, address, func(cfg *Config) {
				cfg.Upstreams, cfg.ProbeInterval = append(cfg.Upstreams, Secret(f.upstream.URL)), -1
			})
			for range 3 {
				res, body := send(t, "POST", f.URL+"/v1/chat/completions", "{}")
				if test.failover && res.StatusCode != 200 {
					t.Errorf("%d %s, want the other upstream's", res.StatusCode, body)
				}
				if !test.failover {
					wantError(t, res, body, test.err)
				}
			}
			if test.state == "up" && first.Load() != 3 {
				t.Errorf("the relay got %d requests, want all 3: it is well", first.Load())
			}
			if got := f.relay.pool.Status()[0].State; got != test.state {
				t.Errorf("the relay is %s, want %s", got, test.state)
			}
		})
	}
}

// A gateway and its regions are relays. The one that a token is over its rate at says
// when to retry, and remains in use; the API's and a platform's 429 look as they did.
func TestTokenRateOfARegion(t *testing.T) {
	f := newFront(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/v1/limited" {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Retry-After-Ms", "77")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w,
				`{"error":{"message":"m","type":"requests","param":null,"code":"rate_limit_exceeded"}}`)
			return
		}
		ok(w, req)
	}, withTokens(NamedToken{Name: "gateway", Token: canaryToken, PerMinute: 2}))
	second := newFront(t, ok, nil)
	region := strings.Replace(f.URL, "http://", "http://rt_"+canaryToken+"@", 1) + "#one"
	gateway := newFront(t, ok, func(cfg *Config) {
		cfg.Upstreams, cfg.ProbeInterval = []Secret{Secret(region), Secret(second.URL + "#two")}, -1
	})
	res, body := send(t, "POST", gateway.URL+"/v1/limited", "{}")
	if res.StatusCode != 429 || res.Header.Get("X-Relay-Error") != "" || res.Header.Get("Retry-After-Ms") != "77" ||
		!strings.Contains(body, "rate_limit_exceeded") ||
		!strings.HasSuffix(res.Header.Get("X-Relay"), "origin=upstream") {
		t.Errorf("the API's: %d %v %s", res.StatusCode, res.Header, body)
	}
	if res, body := send(t, "POST", gateway.URL+"/v1/chat/completions", "{}"); res.StatusCode != 200 {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	for range 5 {
		res, body := send(t, "POST", gateway.URL+"/v1/chat/completions", "{}")
		wantError(t, res, body, errTokenRate)
		if res.Header.Get("X-Relay-Upstream") != "one" || res.Header.Get("X-Relay-Attempts") != "1" {
			t.Errorf("upstream %s after %s attempts", res.Header.Get("X-Relay-Upstream"),
				res.Header.Get("X-Relay-Attempts"))
		}
	}
	second.untouched(t)
	if st := gateway.relay.pool.Status()[0]; st.State != "up" {
		t.Errorf("the region is %s", st.State)
	}
}

func TestTokenInHealth(t *testing.T) {
	end := time.Date(2999, 1, 31, 1, 2, 3, 0, time.FixedZone("", 3600))
	f := newFront(t, ok, func(cfg *Config) {
		cfg.AccessTokens = []Secret{"unnamed-token"}
		cfg.NamedTokens = []NamedToken{
			{Name: "alice", Token: canaryToken, Expires: end, Paths: []string{"/v1/models"}, Methods: []string{"GET"},
				Models: []string{"gpt-5*"}, MaxInFlight: 2, PerMinute: 60},
			{Name: "bob", Token: "expired-token", Expires: time.Unix(1, 0)},
		}
	})
	got, body := tokenHealth(t, f, canaryToken)
	want := `{"name":"alice","expires":"2999-01-31T00:02:03Z","paths":["/v1/models"],"methods":["GET"],` +
		`"models":["gpt-5*"],"max_in_flight":2,"per_minute":60}`
	if text, _ := json.Marshal(got); string(text) != want || strings.Contains(body, "bob") ||
		strings.Contains(body, "canary") {
		t.Errorf("got %s, want the token %s", body, want)
	}
	for _, token := range []string{"", "wrong", "unnamed-token", "expired-token"} {
		if got, body := tokenHealth(t, f, token); got != nil || strings.Contains(body, "alice") {
			t.Errorf("token %q: health says %s", token, body)
		}
	}
}

// tokenHealth returns what the health check says of token.
func tokenHealth(t *testing.T, f *front, token string) (*protocol.TokenHealth, string) {
	t.Helper()
	res, body := send(t, "GET", f.URL+protocol.HealthPath, "", "X-Relay-Token", token)
	var h protocol.Health
	if err := json.Unmarshal([]byte(body), &h); err != nil || res.StatusCode != 200 || !h.TokenRequired {
		t.Fatalf("health: %d %s", res.StatusCode, body)
	}
	return h.Token, body
}

func TestParseNamedTokens(t *testing.T) {
	hash := hashOf(canaryToken)[7:]
	cfg, err := ParseEnv([]string{`RELAY_ACCESS_TOKENS= [
		"plain-one", "` + hashOf("two") + `",
		{"name": "alice@example.com", "sha256": "` + hash + `", "expires": "2027-01-31T00:00:00+01:00",
		 "paths": ["/v1/chat/completions", "/v1/models/"], "methods": ["POST", "GET"], "models": ["gpt-5-mini", "ft:gpt-5*"], "max_in_flight": 4, "per_minute": 6e1},
		{"name": "b.o-b_2", "token": "rt_three", "expires": null, "paths": null, "models": null, "per_minute": null},
		{"name": "c", "sha256": "sha256:` + hashOf("four")[7:] + `"}]`})
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.AccessTokens) != 2 || len(cfg.NamedTokens) != 3 || !cfg.TokenNeeded() {
		t.Fatalf("%d tokens, %d with a name", len(cfg.AccessTokens), len(cfg.NamedTokens))
	}
	alice := cfg.NamedTokens[0]
	if string(alice.Token) != "sha256:"+hash || !alice.Expires.Equal(time.Date(2027, 1, 30, 23, 0, 0, 0, time.UTC)) ||
		strings.Join(alice.Paths, " ") != "/v1/chat/completions /v1/models/" ||
		strings.Join(alice.Methods, " ") != "POST GET" || strings.Join(alice.Models, " ") != "gpt-5-mini ft:gpt-5*" ||
		alice.MaxInFlight != 4 || alice.PerMinute != 60 {
		t.Errorf("%+v", alice)
	}
	if bob := cfg.NamedTokens[1]; string(bob.Token) != "rt_three" || !bob.Expires.IsZero() || bob.Paths != nil ||
		bob.PerMinute != 0 {
		t.Errorf("%+v", bob)
	}
}

func TestNamedTokensThatAreRefused(t *testing.T) {
	hash := hashOf(canaryToken)[7:]
	entry := func(more string) string { return `[{"name":"alice","sha256":"` + hash + `"` + more + `}]` }
	tests := map[string][]string{
		"not a JSON list":    {`[`, `[{]`, `[a,b]`, `[{"name":"hunter2"}`, `["hunter2"] x`},
		"empty list":         {`[]`, `[ ]`},
		"object or a string": {`[1]`, `[null]`, `[["hunter2"]]`, `[true]`},
		"a member other": {entry(`,"hunter2":1`), entry(`,"Name":"x"`), entry(`,"model":["hunter2"]`),
			entry(`,"upstream":["hunter2"]`)},
		"name must be a string": {`[{"name":7,"sha256":"` + hash + `"}]`},
		"must have a name": {`[{"sha256":"` + hash + `"}]`, `[{"name":"","token":"hunter2"}]`,
			`[{"name":"a b","token":"hunter2"}]`, `[{"name":"\u00e4","token":"hunter2"}]`,
			`[{"name":"a\nb","token":"hunter2"}]`, `[{"name":"-a","token":"hunter2"}]`,
			`[{"name":"` + strings.Repeat("a", 65) + `","token":"hunter2"}]`, `[{"name":null,"token":"hunter2"}]`},
		"neither sha256 nor token": {`[{"name":"a"}]`, `[{"name":"a","token":""}]`, `[{"name":"a","token":null}]`},
		"both sha256 and token":    {entry(`,"token":"hunter2"`)},
		"name it sha256": {`[{"name":"a","token":"sha256:` + hash + `"}]`,
			`[{"name":"a","token":"SHA256:hunter2"}]`},
		"64 hexadecimal": {`[{"name":"a","sha256":"hunter2"}]`, `[{"name":"a","sha256":"` + hash[1:] + `"}]`,
			`[{"name":"a","sha256":"sha256:sha256:` + hash + `"}]`,
			`[{"name":"a","sha256":"` + hash + hash + `"}]`, // as of sha512sum
			`[{"name":"a","sha256":"` + hash + `abc"}]`, `["sha256:` + hash + hash + `"]`, "sha256:" + hash + hash},
		"hash of an empty token": {`[{"name":"a","sha256":"` + hashOf("")[7:] + `"}]`},
		"dots": {`[{"name":"a","token":"hunter.2"}]`, `[{"name":"a","token":"hunter 2"}]`,
			`[{"name":"a","token":"hunter,2"}]`},
		"name must not contain": {`[{"name":"is-hunter2","token":"rt_hunter2"}]`},
		"expires must be": {entry(`,"expires":"2027-01-31"`), entry(`,"expires":"2027-02-30T00:00:00Z"`),
			entry(`,"expires":1}`[:12]), entry(`,"expires":"2027-01-31 00:00:00Z"`),
			entry(`,"expires":"2027-01-31T00:00:00"`), entry(`,"expires":"2027-01-31T24:00:00Z"`),
			entry(`,"expires":""`)},
		"paths must be": {entry(`,"paths":[]`), entry(`,"paths":"/v1/models"`), entry(`,"paths":[1]`),
			entry(`,"paths":[null]`)},
		"below one of RELAY_PATHS": {entry(`,"paths":["/hunter2/"]`), entry(`,"paths":["v1/models"]`),
			entry(`,"paths":["/"]`), entry(`,"paths":[""]`), entry(`,"paths":["/v1x"]`), entry(`,"paths":["/v1/../x"]`),
			entry(`,"paths":["/v1/a%2fb"]`), entry(`,"paths":["/v1/*","/relay/"]`)},
		"models must be": {entry(`,"models":[]`), entry(`,"models":"hunter2"`), entry(`,"models":[null]`)},
		"has a model that is not": {entry(`,"models":[""]`), entry(`,"models":["*"]`), entry(`,"models":["hunter 2"]`),
			entry(`,"models":["*hunter"]`), entry(`,"models":["hunter*2"]`),
			entry(`,"models":["` + strings.Repeat("a", 101) + `"]`)},
		"methods must be": {entry(`,"methods":[]`), entry(`,"methods":"GET"`)},
		"in capitals":     {entry(`,"methods":["get"]`), entry(`,"methods":["TRACE"]`), entry(`,"methods":[""]`)},
		"max_in_flight must be": {entry(`,"max_in_flight":0`), entry(`,"max_in_flight":-1`),
			entry(`,"max_in_flight":1.5`), entry(`,"max_in_flight":"2"`)},
		"per_minute must be": {entry(`,"per_minute":0`), entry(`,"per_minute":1000001`), entry(`,"per_minute":1e400`),
			entry(`,"per_minute":true`)},
		"name of another one": {`[{"name":"a","token":"hunter2"},{"name":"a","token":"hunter3"}]`},
		"same token": {`[{"name":"a","token":"hunter2"},{"name":"b","token":"rt_hunter2"}]`,
			`["hunter2",{"name":"b","sha256":"` + hashOf("hunter2")[7:] + `"}]`,
			`[{"name":"a","sha256":"` + hash + `"},{"name":"b","sha256":"` + strings.ToUpper(hash) + `"}]`,
			`["` + hashOf("rt_x1")[:] + `",{"name":"b","token":"x1"}]`},
		"entry next to a comma": {`,[{}]`},
	}
	for want, values := range tests {
		for _, value := range values {
			_, err := ParseEnv([]string{"RELAY_ACCESS_TOKENS=" + value})
			if err == nil || !strings.Contains(err.Error(), want) ||
				!strings.HasPrefix(err.Error(), "RELAY_ACCESS_TOKENS") {
				t.Errorf("%s: %v, want %q", value, err, want)
				continue
			}
			if text := err.Error(); strings.Contains(text, "hunter") || strings.Contains(text, hash[:8]) ||
				strings.ContainsAny(text, "\n") {
				t.Errorf("%s: the error shows the value: %v", value, err)
			}
		}
	}
	if _, err := ParseEnv([]string{"RELAY_PATHS=/openai/",
		"RELAY_ACCESS_TOKENS=" + entry(`,"paths":["/openai/v1"]`)}); err != nil {
		t.Errorf("a path below another prefix: %v", err)
	}
	if _, err := New(Config{NamedTokens: []NamedToken{{Name: "a", Token: "x", PerMinute: -1}}}); err == nil {
		t.Error("New takes a negative limit")
	}
}

// FuzzParseTokens: what is accepted admits its tokens and nobody else, and no error
// shows a value.
func FuzzParseTokens(f *testing.F) {
	for _, seed := range []string{
		`[{"name":"a","token":"CANARY"}]`,
		`["CANARY",{"name":"b","sha256":"` + hashOf("x")[7:] + `","expires":"2027-01-31T00:00:00Z"}]`,
		`[{"name":"a","token":"CANARY","paths":["/v1/CANARY"],"methods":["GET"],"models":["CANARY*"],` +
			`"max_in_flight":1,"per_minute":1e3}]`,
		`[{"name":"a","token":"CANARY","upstreams":["a"]},{"name":"b","token":"CANARY2","upstreams":["CANARY"]}]`,
		`[{"name":"a","token":"CANARY","CANARY":null}]`, `[{"expires":"CANARY"}]`, `[]`, `[[[[`, `CANARY,CANARY two`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		cfg, err := ParseEnv([]string{"RELAY_ACCESS_TOKENS=" + value, "RELAY_UPSTREAMS=https://a.example#a"})
		if err != nil {
			if text := err.Error(); strings.Contains(text, "CANARY") || strings.Contains(text, "\n") {
				t.Errorf("%q: %v", value, err)
			}
			return
		}
		cfg.Logger = slog.New(slog.DiscardHandler)
		relay, err := New(cfg)
		if err != nil {
			t.Fatalf("%q: ParseEnv accepts, New says %v", value, err)
		}
		relay.stop()
		if strings.TrimSpace(value) != "" && relay.open {
			t.Errorf("%q opens the relay", value)
		}
		a := newAccess(cfg, nil)
		for i, token := range cfg.NamedTokens {
			if text := string(token.Token); !strings.HasPrefix(text, "sha256:") &&
				a.caller(text) != len(cfg.AccessTokens)+i+1 {
				t.Errorf("%q: named token %d is taken for another", value, i+1)
			}
		}
		if a.caller("no-such-token-"+value) != 0 {
			t.Errorf("%q admits everyone", value)
		}
	})
}
