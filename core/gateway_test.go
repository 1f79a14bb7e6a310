package core

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/relay/core/protocol"
	"example.com/relay/internal/proc"
)

// A gateway is a relay on a real server, before several upstreams, whose names
// are a, b, c and so on.
type gateway struct {
	front
	regions []*httptest.Server
}

// newGateway serves a gateway to one upstream for each of responses. Where that is
// nil, connections are refused.
func newGateway(t *testing.T, change func(*Config), answers ...http.HandlerFunc) *gateway {
	t.Helper()
	g := &gateway{front: front{log: new(lockedBuffer)}}
	var upstreams []Secret
	for i, answer := range answers {
		server := httptest.NewUnstartedServer(answer)
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.Start()
		if answer == nil {
			defer server.Close() // when the gateway has its own port, which could be this one
		}
		t.Cleanup(server.Close)
		g.regions = append(g.regions, server)
		upstreams = append(upstreams, Secret(server.URL+"#"+string(rune('a'+i))))
	}
	g.start(t, "", func(cfg *Config) {
		cfg.Upstreams, cfg.ProbeInterval = upstreams, -1
		if change != nil {
			change(cfg)
		}
	})
	return g
}

// byRelay returns h as a relay hands on its upstream's responses.
func byRelay(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("X-Relay", "behind; origin=upstream")
		h(w, req)
	}
}

// health returns what the gateway says of its upstreams.
func (g *gateway) health(t *testing.T, headers ...string) protocol.Health {
	t.Helper()
	res, body := send(t, "GET", g.URL+"/relay/health", "", headers...)
	return parseHealth(t, res.StatusCode, body)
}

func parseHealth(t *testing.T, status int, body string) (report protocol.Health) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &report); err != nil || status != http.StatusOK {
		t.Fatalf("health: %d %s", status, body)
	}
	return report
}

func TestGatewayHealth(t *testing.T) {
	g := newGateway(t, func(cfg *Config) { cfg.AccessTokens = []Secret{canaryToken} }, nil, byRelay(ok))
	for i, want := range []string{"2", "2", "2", "1"} { // three strikes
		res, _ := send(t, "POST", g.URL+"/v1/chat/completions", "{}", "X-Relay-Token", canaryToken)
		if res.StatusCode != 200 || res.Header.Get("X-Relay-Attempts") != want ||
			res.Header.Get("X-Relay-Upstream") != "b" {
			t.Errorf("request %d: %d after %s attempts by %s, want 200, %s, b", i+1, res.StatusCode,
				res.Header.Get("X-Relay-Attempts"), res.Header.Get("X-Relay-Upstream"), want)
		}
	}
	report := g.health(t, "X-Relay-Token", canaryToken)
	if report.Status != "ok" || len(report.Upstreams) != 2 {
		t.Fatalf("health %+v, want two upstreams", report)
	}
	a, b := report.Upstreams[0], report.Upstreams[1]
	if a.Name != "a" || a.State != "down" || a.LastError != "refused" || a.RetryInMS <= 0 || a.RetryInMS > 2400 ||
		a.LatencyMS != 0 || a.InFlight != 0 {
		t.Errorf("a refuses connections, health says %+v", a)
	}
	if b.Name != "b" || b.State != "up" || b.LastError != "" || b.RetryInMS != 0 || b.LatencyMS <= 0 ||
		b.InFlight != 0 {
		t.Errorf("b answers, health says %+v", b)
	}
	// Where the upstreams are is nothing for those who may not use them.
	for _, headers := range [][]string{nil, {"X-Relay-Token", "wrong"}, {"Authorization", "Bearer " + canaryKey}} {
		if report := g.health(t, headers...); len(report.Upstreams) != 0 || report.Status != "ok" ||
			!report.TokenRequired {
			t.Errorf("%v: health says %+v", headers, report)
		}
	}
	if report := g.health(t, "Authorization", "Bearer rt_"+canaryToken+"."+canaryKey); len(report.Upstreams) != 2 {
		t.Errorf("with the token inside a key: health says %+v", report)
	}

	waitForLog(t, &g.front, `"attempts":1`)
	var downs, served int
	for _, line := range records(t, g.log.String()) {
		switch line["msg"] {
		case "upstream down":
			downs++
			if line["level"] != "WARN" || line["upstream"] != "a" || line["reason"] != "refused" ||
				line["retry_in_ms"].(float64) <= 0 {
				t.Errorf("log line %v", line)
			}
		case "request":
			if line["route"] == "chat" {
				served++
				if line["upstream"] != "b" || line["attempts"].(float64) < 1 {
					t.Errorf("log line %v", line)
				}
			} else if line["upstream"] != nil {
				t.Errorf("a request that went to no upstream has one: %v", line)
			}
		}
	}
	if downs != 1 || served != 4 {
		t.Errorf("the log has %d lines of upstreams that went down and %d requests, want 1 and 4:\n%s", downs, served,
			g.log)
	}
}

func TestHealthOfOneUpstream(t *testing.T) {
	var gone atomic.Bool
	g := newGateway(t, nil, func(w http.ResponseWriter, req *http.Request) {
		if gone.Load() {
			panic(http.ErrAbortHandler)
		}
		byRelay(ok)(w, req)
	})
	for _, want := range []string{"up ", "suspect reset", "up reset"} {
		gone.Store(strings.HasPrefix(want, "suspect"))
		send(t, "POST", g.URL+"/v1/chat/completions", "{}")
		list := g.health(t).Upstreams
		if len(list) != 1 || list[0].State+" "+list[0].LastError != want || list[0].RetryInMS != 0 {
			t.Errorf("health says %+v, want %s", list, want)
		}
	}
	waitForLog(t, &g.front, `"health"`)
	if strings.Contains(g.log.String(), `"upstream"`) {
		t.Errorf("the log names the only upstream:\n%s", g.log)
	}
}

// A request that an upstream has shows there.
func TestGatewayHealthCountsRequests(t *testing.T) {
	entered, leave := make(chan bool, 1), make(chan bool)
	g := newGateway(t, nil, byRelay(func(w http.ResponseWriter, req *http.Request) {
		entered <- true
		<-leave
		ok(w, req)
	}), byRelay(ok))
	done := make(chan int, 1)
	go func() {
		res, err := http.Get(g.URL + "/v1/models")
		if err != nil {
			done <- 0
			return
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		done <- res.StatusCode
	}()
	receive(t, entered, "the request")
	if got := g.health(t).Upstreams; got[0].InFlight != 1 || got[1].InFlight != 0 {
		t.Errorf("health during a request: %+v", got)
	}
	close(leave)
	if status := receive(t, done, "the response"); status != 200 {
		t.Errorf("status %d", status)
	}
	if got := g.health(t).Upstreams; got[0].InFlight != 0 {
		t.Errorf("health after the request: %+v", got)
	}
}

// A bubble is a gateway without sockets, for synctest. Its upstreams are at
// 127.0.0.1, on the ports 1, 2 and so on.
type bubble struct {
	clockFront
	broken atomic.Int32 // port of the upstream that breaks connections off
	asked  [4]atomic.Int32
	probed [4]atomic.Int32
}

func newBubble(t *testing.T, n int, change func(*Config)) *bubble {
	t.Helper()
	b := &bubble{clockFront: clockFront{log: new(lockedBuffer)}}
	cfg := Config{
		ProbeInterval: -1,
		Logger:        slog.New(slog.NewJSONHandler(b.log, nil)),
		Transport:     roundTripFunc(b.roundTrip),
	}
	for i := range n {
		cfg.Upstreams = append(cfg.Upstreams, Secret(fmt.Sprintf("http://127.0.0.1:%d#%c", i+1, 'a'+i)))
	}
	if change != nil {
		change(&cfg)
	}
	relay, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.relay = relay
	t.Cleanup(relay.stop)
	return b
}

func (b *bubble) roundTrip(req *http.Request) (*http.Response, error) {
	port, _ := strconv.Atoi(req.URL.Port())
	counts, marker := &b.asked[port], "behind; origin=upstream"
	if req.URL.Path == protocol.HealthPath {
		counts, marker = &b.probed[port], "behind; origin=relay"
	}
	counts.Add(1)
	if b.broken.Load() == int32(port) {
		return nil, errors.New("broken")
	}
	return &http.Response{
		StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"X-Relay": {marker}},
		Body: io.NopCloser(strings.NewReader("{}")), ContentLength: 2,
	}, nil
}

// upstream returns which upstream responded.
func (b *bubble) upstream(t *testing.T) string {
	t.Helper()
	rec, _ := b.get(t.Context())
	if rec.Code != 200 {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
	return rec.Header().Get("X-Relay-Upstream")
}

func (b *bubble) health(t *testing.T) []protocol.UpstreamHealth {
	t.Helper()
	rec := httptest.NewRecorder()
	b.relay.ServeHTTP(rec, httptest.NewRequest("GET", protocol.HealthPath, nil))
	return parseHealth(t, rec.Code, rec.Body.String()).Upstreams
}

// An upstream goes down, is left alone, is tried, and comes back.
func TestGatewayUpstreamComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 2, nil)
		if a := b.health(t)[0]; a.CheckedMSAgo != nil || a.ErrorMSAgo != nil {
			t.Errorf("health of an upstream that was never used: %+v", a)
		}
		if got := b.upstream(t); got != "a" || b.health(t)[0].State != "up" {
			t.Fatalf("answered by %s, health %+v", got, b.health(t))
		}
		b.broken.Store(1)
		for range 3 {
			if got := b.upstream(t); got != "b" {
				t.Errorf("answered by %s, want b", got)
			}
		}
		a := b.health(t)[0]
		if a.State != "down" || a.LastError != "reset" || a.RetryInMS < 1600 || a.RetryInMS > 2400 {
			t.Errorf("health of an upstream that broke off three times: %+v", a)
		}
		before := b.asked[1].Load() + b.probed[1].Load()
		time.Sleep(1500 * time.Millisecond)
		if got := b.upstream(t); got != "b" || b.asked[1].Load()+b.probed[1].Load() != before {
			t.Errorf("answered by %s, and a was asked while it is to be left alone", got)
		}
		if left := b.health(t)[0].RetryInMS; left != a.RetryInMS-1500 {
			t.Errorf("retry_in_ms = %d after 1500 of %d", left, a.RetryInMS)
		}

		// Still broken, it is tried once, and then left alone for longer.
		time.Sleep(time.Second)
		if got := b.upstream(t); got != "b" {
			t.Errorf("answered by %s, want b", got)
		}
		if a := b.health(t)[0]; a.State != "down" || a.RetryInMS < 3200 || a.RetryInMS > 4800 {
			t.Errorf("health after a trial that failed: %+v", a)
		}

		b.broken.Store(0)
		time.Sleep(5 * time.Second)
		if got := b.upstream(t); got != "a" {
			t.Errorf("answered by %s, want a, which is well again", got)
		}
		a = b.health(t)[0]
		if a.State != "up" || a.RetryInMS != 0 || a.LastError != "unresponsive" {
			t.Errorf("health of an upstream that came back: %+v", a)
		}
		// Its request succeeded just now; the trial that failed was five seconds ago.
		if a.CheckedMSAgo == nil || *a.CheckedMSAgo != 0 || a.ErrorMSAgo == nil || *a.ErrorMSAgo != 5000 {
			t.Errorf("checked %v ms ago, failed %v ms ago", a.CheckedMSAgo, a.ErrorMSAgo)
		}
		var changes []string
		for _, line := range records(t, b.log.String()) {
			if msg, _ := line["msg"].(string); strings.HasPrefix(msg, "upstream ") {
				changes = append(changes, fmt.Sprint(line["level"], " ", msg, " ", line["upstream"]))
			}
		}
		if want := []string{"WARN upstream down a", "INFO upstream up a"}; !slices.Equal(changes, want) {
			t.Errorf("the log says %q, want %q", changes, want)
		}
	})
}

// What a deep check finds out shows in its own report.
func TestDeepCheckShowsInUpstreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 2, nil)
		b.broken.Store(1)
		rec := httptest.NewRecorder()
		b.relay.ServeHTTP(rec, httptest.NewRequest("GET", protocol.HealthPath+"?deep=1", nil))
		h := parseHealth(t, rec.Code, rec.Body.String())
		if h.Upstream == nil || len(h.Upstreams) != 2 || h.Upstreams[0].State == "up" ||
			h.Upstreams[0].LastError == "" {
			t.Errorf("%s", rec.Body)
		}
	})
}

// A gateway probes, a function does not, and neither goes on after its end.
func TestGatewayProbes(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"by default":   func(cfg *Config) { cfg.ProbeInterval = 0 },
		"off":          func(cfg *Config) { cfg.ProbeInterval = -1 },
		"a function":   func(cfg *Config) { cfg.ProbeInterval, cfg.Platform.Serverless = 0, true },
		"one upstream": func(cfg *Config) { cfg.ProbeInterval, cfg.Upstreams = 0, cfg.Upstreams[:1] },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, 2, change)
				for range 60 {
					b.upstream(t)
					time.Sleep(time.Second)
				}
				for port := 1; port <= 2; port++ {
					if got, want := b.probed[port].Load(), name == "by default"; (got >= 5 && got <= 7) != want ||
						got > 0 && !want {
						t.Errorf("upstream %d was probed %d times in a minute of traffic; wanted: %t", port, got, want)
					}
				}
				b.relay.stop()
				before := b.probed[1].Load()
				time.Sleep(5 * time.Minute)
				if got := b.probed[1].Load(); got != before {
					t.Errorf("%d probes after the end", got-before)
				}
			})
		})
	}
}

func TestGatewayDescribesResponses(t *testing.T) {
	apiError := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Retry-After-Ms", "5")
		w.WriteHeader(429)
		_, _ = io.WriteString(w,
			`{"error":{"message":"slow down","type":"requests","param":null,"code":"rate_limit_exceeded"}}`)
	}
	events := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, event)
	}
	busy := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) } // a platform's
	invalid := func(w http.ResponseWriter, _ *http.Request) {
		conn := hijack(t, w, "HTTP/1.1 700 What\r\nContent-Length: 0\r\nX-Relay: behind; origin=upstream\r\n\r\n")
		conn.Close()
	}
	broken := func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		hijack(t, w, "").Close()
	}
	tests := []struct {
		name    string
		ws      bool
		answers []http.HandlerFunc
		status  int
		code    string // of an error that the gateway makes
		by      string // upstream and attempts
	}{
		{"the first", false, []http.HandlerFunc{byRelay(ok), byRelay(ok)}, 200, "", "a 1"},
		{"the second", false, []http.HandlerFunc{nil, byRelay(ok)}, 200, "", "b 2"},
		{"the third", false, []http.HandlerFunc{nil, busy, byRelay(ok)}, 200, "", "c 3"},
		{"a stream", false, []http.HandlerFunc{nil, byRelay(events)}, 200, "", "b 2"},
		{"an error of the API", false, []http.HandlerFunc{nil, byRelay(apiError)}, 429, "", "b 2"},
		{"nobody", false, []http.HandlerFunc{nil, nil}, 502, "all_regions_failed", "b 2"},
		{"three at most", false, []http.HandlerFunc{nil, nil, nil, byRelay(ok)}, 502, "all_regions_failed", "c 3"},
		{"broken off", false, []http.HandlerFunc{broken, byRelay(ok)}, 502, "upstream_reset", "a 1"},
		{"a response", false, []http.HandlerFunc{byRelay(invalid), byRelay(ok)}, 502, "upstream_invalid_response",
			"a 1"},
		{"a WebSocket", true, []http.HandlerFunc{echoUpgrade(t), byRelay(ok)}, 101, "", "a 1"},
		{"the second's WebSocket", true, []http.HandlerFunc{nil, echoUpgrade(t)}, 101, "", "b 2"},
		{"a WebSocket refused by the API", true, []http.HandlerFunc{nil, byRelay(apiError)}, 429, "", "b 2"},
		{"nobody's WebSocket", true, []http.HandlerFunc{nil, nil}, 502, "all_regions_failed", "b 2"},
		{"a response to a WebSocket", true, []http.HandlerFunc{byRelay(invalid), byRelay(ok)}, 502,
			"upstream_invalid_response", "a 1"},
		{"one upstream", false, []http.HandlerFunc{byRelay(ok)}, 200, "", " "},
		{"one upstream's error", false, []http.HandlerFunc{nil}, 502, "upstream_connect", " "},
		{"one upstream's WebSocket", true, []http.HandlerFunc{echoUpgrade(t)}, 101, "", " "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := newGateway(t, nil, test.answers...)
			var res *http.Response
			var body string
			if test.ws {
				conn := dialRaw(t, g.URL)
				_, _ = io.WriteString(conn, "GET /v1/realtime?model=m HTTP/1.1\r\n"+handshake+"Authorization: Bearer "+
					canaryKey+"\r\n\r\n")
				var err error
				if res, err = http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
					t.Fatal(err)
				}
				if res.StatusCode != 101 {
					b, _ := io.ReadAll(res.Body)
					body = string(b)
				}
				conn.Close()
			} else {
				res, body = send(t, "POST", g.URL+"/v1/chat/completions", "{}", "Authorization", "Bearer "+canaryKey,
					"Origin", "https://a.example")
			}
			if got := res.Header.Get("X-Relay-Upstream") + " " + res.Header.Get("X-Relay-Attempts"); got != test.by ||
				res.StatusCode != test.status {
				t.Errorf("status %d by %q, want %d by %q", res.StatusCode, got, test.status, test.by)
			}
			if test.code != "" {
				if got := errorCode(t, res, body); got != test.code {
					t.Errorf("code %s, want %s", got, test.code)
				}
			}
			if exposed := res.Header.Get("Access-Control-Expose-Headers"); !test.ws && test.by != " " &&
				(!strings.Contains(exposed, "X-Relay-Attempts") || !strings.Contains(exposed, "X-Relay-Upstream")) {
				t.Errorf("pages may read %q", exposed)
			}
			waitForLog(t, &g.front, `"msg":"request"`)
			for _, line := range records(t, g.log.String()) {
				if line["msg"] != "request" {
					continue
				}
				upstream, _ := line["upstream"].(string)
				if got := upstream + " " + fmt.Sprint(line["attempts"]); got != test.by &&
					(test.by != " " || got != " 1") {
					t.Errorf("the log says %q, want %q", got, test.by)
				}
			}
		})
	}
}

func TestAllRegionsFailed(t *testing.T) {
	busy := func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == protocol.HealthPath {
			w.Header().Set("X-Relay", "relay; origin=relay")
			return
		}
		w.WriteHeader(503)
		_, _ = io.WriteString(w, canaryKey) // some echo
	}
	g := newGateway(t, nil, nil, busy)
	start := time.Now()
	res, body := send(t, "POST", g.URL+"/v1/chat/completions?q="+canaryKey, "{}", "Authorization", "Bearer "+canaryKey)
	wantError(t, res, body, errAllFailed)
	if took := time.Since(start); took > 3500*time.Millisecond {
		t.Errorf("took %v", took)
	}
	if !strings.Contains(body, "They are: a: refused, b: platform_503.") || strings.Contains(body, "127.0.0.1") ||
		strings.Contains(body, "CANARY") {
		t.Errorf("body %s", body)
	}
	waitForLog(t, &g.front, "connection refused")
	lines := records(t, g.log.String())
	if lines[0]["error"] != "all_regions_failed" || lines[0]["attempts"] != 2.0 || lines[1]["upstream"] != "a" ||
		lines[1]["request_id"] != lines[0]["request_id"] || len(lines) != 2 ||
		strings.Contains(g.log.String(), "CANARY") {
		t.Errorf("log:\n%s", g.log)
	}
}

// What an upstream says of attempts and upstreams is about its own.
func TestUpstreamsDescriptionsStay(t *testing.T) {
	boasting := byRelay(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("X-Relay-Attempts", "9")
		w.Header()["X-Relay-Upstream"] = []string{"elsewhere", "evil"}
		w.Header().Set("X-Seen", strings.Join(req.Header["X-Relay-Upstream"], "")+req.Header.Get("X-Relay-Attempts"))
		ok(w, req)
	})
	for name, g := range map[string]*gateway{
		"several": newGateway(t, nil, boasting, boasting), "one": newGateway(t, nil, boasting),
	} {
		res, _ := send(t, "GET", g.URL+"/v1/models", "", "X-Relay-Upstream", "b", "X-Relay-Attempts", "3")
		attempts, upstream := res.Header["X-Relay-Attempts"], res.Header["X-Relay-Upstream"]
		want := [][]string{{"1"}, {"a"}}
		if name == "one" {
			want = [][]string{nil, nil}
		}
		if !slices.Equal(attempts, want[0]) || !slices.Equal(upstream, want[1]) {
			t.Errorf("%s: attempts %q, upstream %q, want %q", name, attempts, upstream, want)
		}
		if seen := res.Header.Get("X-Seen"); seen != "" {
			t.Errorf("%s: the upstream got the client's %q", name, seen)
		}
	}
}

// Who made a response stays visible behind several relays.
func TestMarkerOfARelayUpstream(t *testing.T) {
	behind := newFront(t, ok, func(cfg *Config) { cfg.Name, cfg.AccessTokens = "behind", []Secret{canaryToken} })
	tests := []struct {
		name, upstream, origin, code string
	}{
		{"a response of the API", "rt_" + canaryToken + "@", "upstream", ""},
		{"an error of the relay behind", "", "relay", "invalid_access_token"},
	}
	for _, test := range tests {
		for _, spare := range []bool{false, true} {
			g := newGateway(t, func(cfg *Config) {
				cfg.Name = "gate"
				upstreams := []Secret{Secret("http://" + test.upstream + strings.TrimPrefix(behind.URL,
					"http://") + "#a")}
				if spare {
					upstreams = append(upstreams, cfg.Upstreams[0])
				}
				cfg.Upstreams = upstreams
			}, nil)
			res, body := send(t, "GET", g.URL+"/v1/models", "", "Authorization", "Bearer "+canaryKey)
			origin, code := test.origin, test.code
			if !spare && test.upstream == "" {
				origin, code = "upstream", "" // nothing says that the only upstream is a relay
			}
			if got, want := res.Header.Get("X-Relay"), "gate; origin="+origin; got != want ||
				res.Header.Get("X-Relay-Error") != code {
				t.Errorf("%s: %d, X-Relay %q, X-Relay-Error %q; want %q, %q", test.name, res.StatusCode, got,
					res.Header.Get("X-Relay-Error"), want, code)
			}
			if code != "" {
				if got := errorCode(t, res, body); got != code {
					t.Errorf("%s: code %s, want %s", test.name, got, code)
				}
			}
			if got := res.Header.Get("X-Relay-Upstream"); (got == "a") != spare {
				t.Errorf("%s: answered by %q, a spare upstream: %t", test.name, got, spare)
			}
		}
	}
	for _, seen := range behind.requests() {
		if seen.Header.Get("Authorization") != "Bearer "+canaryKey || seen.Header.Get("X-Relay-Token") != "" {
			t.Errorf("the API got %v", seen.Header)
		}
	}
}

// The time between reads of openai-python begins when its request has been sent, however
// long that takes; the whole time of the others does not wait for it.
func TestClientTimeoutOfUploads(t *testing.T) {
	for _, test := range []struct {
		header string
		early  bool // the upstream responds before the body's end
		after  time.Duration
		want   string
	}{
		{"X-Stainless-Read-Timeout", false, 14 * time.Second, "client_timeout"},
		{"X-Stainless-Read-Timeout", true, 30 * time.Minute, "upstream_idle_timeout"},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBubble(t, 1, func(cfg *Config) {
				cfg.IdleTimeout = 30 * time.Minute
				cfg.Transport = roundTripFunc(func(req *http.Request) (*http.Response, error) {
					ctx := req.Context()
					if !test.early {
						_, _ = io.Copy(io.Discard, req.Body)
						<-ctx.Done()
						return nil, context.Cause(ctx)
					}
					go io.Copy(io.Discard, req.Body)
					r, w := io.Pipe()
					context.AfterFunc(ctx, func() { w.CloseWithError(context.Cause(ctx)) })
					return &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Body: r, ContentLength: -1,
						Header: http.Header{"Content-Type": {"text/event-stream"}}}, nil
				})
			})
			body, upload := io.Pipe()
			go func() {
				for range 3 {
					time.Sleep(3 * time.Second)
					_, _ = io.WriteString(upload, "piece")
				}
				upload.Close()
			}()
			req := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/files", body)
			req.Header.Set(test.header, "5")
			rec, start := httptest.NewRecorder(), time.Now()
			func() {
				defer func() { _ = recover() }()
				b.relay.ServeHTTP(rec, req)
			}()
			if took := time.Since(start); took != test.after || !strings.Contains(rec.Body.String(), test.want) {
				t.Errorf("%s, early %t: ended after %v with %s, want %v, %s", test.header, test.early, took, rec.Body,
					test.after, test.want)
			}
			body.Close()
		})
	}
}

// A client says how long it waits for a response to begin. No response is worth
// waiting for longer, and none that has begun is ended by it.
func TestClientTimeout(t *testing.T) {
	tests := []struct {
		name, header, value string
		begins              bool // the response, before the time is over
		after               time.Duration
		want                *Error
	}{
		{"openai-node and openai-go", "X-Stainless-Timeout", "5", false, 5 * time.Second, errClientTimeout},
		{"openai-python", "X-Stainless-Read-Timeout", "600.5", false, 600500 * time.Millisecond, errClientTimeout},
		{"a second", "X-Stainless-Timeout", "1", false, time.Second, errClientTimeout},
		{"begun in time", "X-Stainless-Timeout", "5", true, 30 * time.Minute, errIdle},
		{"none", "X-Other", "5", false, 98500 * time.Millisecond, errDeadline},
		{"less than a second", "X-Stainless-Timeout", "0.5", false, 98500 * time.Millisecond, errDeadline},
		{"zero", "X-Stainless-Timeout", "0", false, 98500 * time.Millisecond, errDeadline},
		{"negative", "X-Stainless-Timeout", "-5", false, 98500 * time.Millisecond, errDeadline},
		{"text", "X-Stainless-Timeout", "soon", false, 98500 * time.Millisecond, errDeadline},
		{"not a number", "X-Stainless-Timeout", "NaN", false, 98500 * time.Millisecond, errDeadline},
		{"infinite", "X-Stainless-Timeout", "Inf", false, 98500 * time.Millisecond, errDeadline},
		{"a day and more", "X-Stainless-Timeout", "1e300", false, 98500 * time.Millisecond, errDeadline},
	}
	for _, test := range tests {
		for _, upstreams := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s, upstreams: %d", test.name, upstreams), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBubble(t, upstreams, func(cfg *Config) {
						cfg.IdleTimeout = 30*time.Minute - 4*time.Second
						cfg.Transport = roundTripFunc(func(req *http.Request) (*http.Response, error) {
							ctx := req.Context()
							_, _ = io.Copy(io.Discard, req.Body)
							if !test.begins {
								<-ctx.Done()
								return nil, context.Cause(ctx)
							}
							time.Sleep(4 * time.Second)
							r, w := io.Pipe()
							context.AfterFunc(ctx, func() { w.CloseWithError(context.Cause(ctx)) })
							return &http.Response{
								StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Body: r, ContentLength: -1,
								Header: http.Header{"Content-Type": {"text/event-stream"},
									"X-Relay": {"behind; origin=upstream"}},
							}, nil
						})
					})
					ctx, cancel := t.Context(), context.CancelFunc(func() {})
					if test.want == errDeadline {
						ctx, cancel = context.WithTimeout(ctx, 100*time.Second)
					}
					defer cancel()
					req := httptest.NewRequestWithContext(ctx, "POST", "/v1/chat/completions", strings.NewReader("{}"))
					req.Header.Set(test.header, test.value)
					rec := httptest.NewRecorder()
					start := time.Now()
					aborted := func() (aborted bool) {
						defer func() { aborted = recover() == http.ErrAbortHandler }()
						b.relay.ServeHTTP(rec, req)
						return false
					}()
					if took := time.Since(start); took != test.after {
						t.Errorf("ended after %v, want %v", took, test.after)
					}
					if test.begins {
						want := test.want
						if upstreams > 1 {
							want = want.ofUpstream("a")
						}
						if !aborted || rec.Code != 200 || rec.Body.String() != want.frame(chatEvents) {
							t.Errorf("aborted %t, %d %s, want %s", aborted, rec.Code, rec.Body, test.want.Code)
						}
						return
					}
					wantError(t, rec.Result(), rec.Body.String(), test.want)
					for _, u := range b.health(t) {
						if u.State != "up" || u.LastError != "" || u.InFlight != 0 {
							t.Errorf("the upstream is blamed: %+v", u)
						}
					}
					synctest.Wait()
				})
			})
		}
	}
}

// A response that goes with its region between header and body is one to ask for
// again, which clients do by themselves if they have not got its header.
func TestGatewayHoldsJSON(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nX-Relay: behind; origin=upstream\r\nContent-Type: "
	tests := []struct {
		name, raw string
		upstreams int
		want      *Error // nil: the response begins, and breaks off
	}{
		{"with a length", head + "application/json\r\nContent-Length: 9\r\n\r\n", 2, ErrInterrupted},
		{"chunked", head + "application/json; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n", 2,
			ErrInterrupted},
		{"compressed", head + "application/json\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\n\x1f\x8b", 2,
			ErrInterrupted},
		{"long", head + "application/json\r\nContent-Length: 9999999\r\n\r\n{", 2, nil},
		{"sound", head + "audio/mpeg\r\nContent-Length: 9\r\n\r\nID3", 2, nil},
		{"events", head + "text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(event), 2, nil},
		{"one upstream", head + "application/json\r\nContent-Length: 9\r\n\r\n{", 1, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cut := func(w http.ResponseWriter, req *http.Request) {
				_, _ = io.Copy(io.Discard, req.Body)
				hijack(t, w, test.raw).Close()
			}
			g := newGateway(t, nil, []http.HandlerFunc{cut, byRelay(ok)}[:test.upstreams]...)
			res := do(t, newRequest(t, "POST", g.URL+"/v1/chat/completions", "{}"))
			body, err := io.ReadAll(res.Body)
			if test.want != nil {
				wantError(t, res, string(body), test.want)
				return
			}
			if res.StatusCode != 200 || err == nil {
				t.Errorf("%d, and the response looks whole: %q", res.StatusCode, body)
			}
		})
	}
}

// A JSON response has not begun for a client until it is complete.
func TestClientTimeoutOfJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 2, func(cfg *Config) {
			cfg.Transport = roundTripFunc(func(req *http.Request) (*http.Response, error) {
				r, w := io.Pipe()
				context.AfterFunc(req.Context(), func() { w.CloseWithError(context.Cause(req.Context())) })
				return &http.Response{StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Body: r, ContentLength: -1,
						Header: http.Header{"Content-Type": {"application/json"},
							"X-Relay": {"behind; origin=upstream"}}},
					nil
			})
		})
		req := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/chat/completions", strings.NewReader("{}"))
		req.Header.Set("X-Stainless-Timeout", "5")
		rec, start := httptest.NewRecorder(), time.Now()
		b.relay.ServeHTTP(rec, req)
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("ended after %v", took)
		}
		wantError(t, rec.Result(), rec.Body.String(), errClientTimeout)
	})
}

// After a truncated JSON response, a request that may be sent again is sent again.
func TestGatewayRetriesBrokenJSON(t *testing.T) {
	for _, test := range []struct {
		method, path string
		resend       bool
		want         *Error // nil: the other upstream responds
	}{
		{"POST", "/v1/chat/completions", false, ErrInterrupted},
		{"POST", "/v1/chat/completions", true, nil},
		{"GET", "/v1/models", false, nil},
	} {
		var asked atomic.Int32
		breaking := func(w http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
			hijack(t, w, "HTTP/1.1 200 OK\r\nX-Relay: behind; origin=upstream\r\nContent-Type: application/json\r\n"+
				"Content-Length: 9\r\n\r\n{").Close()
		}
		whole := func(w http.ResponseWriter, req *http.Request) {
			asked.Add(1)
			ok(w, req)
		}
		g := newGateway(t, func(cfg *Config) { cfg.ResendAmbiguous = test.resend }, breaking, byRelay(whole))
		res, body := send(t, test.method, g.URL+test.path, "{}")
		if test.want != nil {
			wantError(t, res, body, test.want)
		} else if res.StatusCode != 200 || res.Header.Get("X-Relay-Upstream") != "b" ||
			res.Header.Get("X-Relay-Attempts") != "2" {
			t.Errorf("%s, resend %t: %d %v %q, want 200 by b after 2 attempts", test.method, test.resend,
				res.StatusCode, res.Header, body)
		}
		if n, want := asked.Load(), test.want == nil; n > 1 || (n > 0) != want {
			t.Errorf("%s, resend %t: the other upstream got %d requests", test.method, test.resend, n)
		}
	}
}

// A function may be frozen once it has responded: nothing may be left that its
// next request would find late, or dead.
func TestFunctionLeavesNothingRunning(t *testing.T) {
	// A region that takes connections and never says a word, as over TLS.
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	region := httptest.NewServer(byRelay(ok))
	defer region.Close()
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }))
	defer busy.Close()

	for name, first := range map[string]string{
		"the first": region.URL + "/first", "refused": "http://" + proc.RefusingAddr(t), "the platform's 503": busy.URL,
		"slow to connect": "https://" + mute.Addr().String(),
	} {
		t.Run(name, func(t *testing.T) {
			relay := FromEnv([]string{"RELAY_LOG_LEVEL=off",
				"RELAY_UPSTREAMS=" + first + "#first," + region.URL + "#second"}, Platform{Serverless: true})
			for range 5 {
				rec := httptest.NewRecorder()
				relay.ServeHTTP(rec, httptest.NewRequest("POST", "/v1/chat/completions", strings.NewReader("{}")))
				if got, want := rec.Header().Get("X-Relay-Upstream"), "second"; rec.Code != 200 ||
					(got == want) == (name == "the first") {
					t.Errorf("%d by %q: %s", rec.Code, got, rec.Body)
				}
			}
			waitForGoroutines(t, "outlive their requests", func(stack string) bool {
				idle := strings.Contains(stack, "persistConn).readLoop") ||
					strings.Contains(stack, "persistConn).writeLoop")
				return !idle && (strings.Contains(stack, "example.com/relay/core") ||
					strings.Contains(stack, "net/http.(*Transport)") || strings.Contains(stack, "addTLS"))
			})
			relay.stop()
			waitForGoroutines(t, "outlive the relay",
				func(stack string) bool { return strings.Contains(stack, "relay/core/failover") })
		})
	}
}

// waitForGoroutines waits until no goroutine but tests' own is as is says of its
// stack: what was cancelled has a moment to notice.
func waitForGoroutines(t *testing.T, what string, is func(stack string) bool) {
	t.Helper()
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		buf := make([]byte, 1<<20)
		stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
		stacks = slices.DeleteFunc(stacks,
			func(stack string) bool { return strings.Contains(stack, "testing.tRunner") || !is(stack) })
		if len(stacks) == 0 {
			return
		}
		if time.Since(start) > time.Second {
			t.Fatalf("%d goroutines %s:\n%s", len(stacks), what, strings.Join(stacks, "\n\n"))
		}
	}
}

// A connection that served a request before can become a WebSocket's.
func TestWebSocketAfterOtherRequests(t *testing.T) {
	for _, upstreams := range []int{1, 2} {
		answer := func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Path == "/v1/realtime" {
				echoUpgrade(t)(w, req)
				return
			}
			byRelay(ok)(w, req)
		}
		g := newGateway(t, nil, []http.HandlerFunc{answer, answer}[:upstreams]...)
		for range 3 {
			send(t, "POST", g.URL+"/v1/chat/completions", "{}")
			conn := dialRaw(t, g.URL)
			_, _ = io.WriteString(conn, "GET /v1/realtime HTTP/1.1\r\n"+handshake+"\r\n")
			r := bufio.NewReader(conn)
			res, err := http.ReadResponse(r, nil)
			if err != nil || res.StatusCode != 101 {
				t.Fatalf("%v %v\n%s", res, err, g.log)
			}
			_, _ = io.WriteString(conn, "hello")
			_ = conn.CloseWrite()
			if got, err := io.ReadAll(r); string(got) != "hello" || err != nil {
				t.Errorf("echo %q, %v", got, err)
			}
		}
	}
}
