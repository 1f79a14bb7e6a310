package torture_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/load"
	"example.com/relay/internal/proc"
	"example.com/relay/internal/regions"
)

// canary is part of every key and token, and must be in no log.
const (
	canary      = "CANARY"
	canaryKey   = "sk-CANARY-of-a-client"
	canaryToken = "CANARY0123456789abcdef"
)

// A rig is regions behind a gateway, each a process of its own.
type rig struct {
	*regions.Fleet
	base       string
	client     *http.Client
	gatewayLog proc.Buffer
	regionLog  proc.Buffer
}

// newRig starts regions, which need an access token. When the test is over it
// fails if a log holds a secret or a panic.
func newRig(t *testing.T, opts regions.Options) *rig {
	t.Helper()
	transport := &http.Transport{DisableCompression: true}
	r := &rig{client: &http.Client{Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	t.Cleanup(func() { // last, when the processes have ended
		transport.CloseIdleConnections()
		wantCleanLog(t, "gateway", r.gatewayLog.String())
		wantCleanLog(t, "regions", r.regionLog.String())
	})
	opts.Log = &r.regionLog
	opts.Env = append(opts.Env, "RELAY_ACCESS_TOKENS="+canaryToken, "RELAY_LOG_LEVEL=debug")
	r.Fleet = regions.StartTest(t, opts)
	return r
}

// startRig starts regions over http and their gateway with the given settings.
func startRig(t *testing.T, settings ...string) *rig {
	t.Helper()
	return startRigOver(t, regions.Options{}, settings...)
}

func startRigOver(t *testing.T, opts regions.Options, settings ...string) *rig {
	t.Helper()
	r := newRig(t, opts)
	r.startGateway(t, settings...)
	return r
}

func (r *rig) startGateway(t *testing.T, settings ...string) {
	t.Helper()
	settings = append([]string{"RELAY_UPSTREAMS=" + strings.Join(r.upstreams(), ",")}, settings...)
	r.base = r.GatewayTest(t, proc.Options{Env: settings, Log: &r.gatewayLog}).Base
}

// upstreams returns the regions as a gateway is configured with them: with their
// names and the access token.
func (r *rig) upstreams() []string {
	var all []string
	for _, region := range r.Regions {
		all = append(all, strings.Replace(region.Front.URL(), "://", "://rt_"+canaryToken+"@", 1)+"#"+region.Name)
	}
	return all
}

func wantCleanLog(t *testing.T, whose, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if strings.Contains(line, canary) {
			t.Errorf("the log of the %s holds a secret: %s", whose, line)
		}
		if strings.Contains(strings.ToLower(line), "panic") || strings.Contains(line, "goroutine ") {
			t.Errorf("the log of the %s says: %s", whose, line)
		}
	}
}

// set sets the fault of a region's front.
func (r *rig) set(t *testing.T, region int, fault regions.Fault) {
	t.Helper()
	if err := r.Regions[region].Front.Set(fault); err != nil {
		t.Error(err)
	}
}

func (r *rig) kill(t *testing.T, region int) {
	t.Helper()
	if err := r.Regions[region].Kill(); err != nil {
		t.Error(err)
	}
}

func (r *rig) start(t *testing.T, region int) {
	t.Helper()
	if err := r.Regions[region].Start(t.Context()); err != nil {
		t.Error(err)
	}
}

// A response is what a client got.
type response struct {
	status   int // 0 if there was none
	header   http.Header
	body     string
	err      error // of the connection
	took     time.Duration
	attempts int
	upstream string
}

// code returns the code of the error that the gateway made itself, or "".
func (a response) code() string { return a.header.Get("X-Relay-Error") }

func (a response) String() string {
	return fmt.Sprintf("%d %q by %q after %d attempts and %v, %q, %v", a.status, a.code(), a.upstream, a.attempts,
		a.took, a.body[:min(len(a.body), 200)], a.err)
}

// want fails the test unless a is of that status, by that upstream after that
// many attempts.
func (a response) want(t *testing.T, status int, upstream string, attempts int) {
	t.Helper()
	if a.err != nil || a.status != status || a.upstream != upstream || a.attempts != attempts {
		t.Errorf("got %v; want %d by %s after %d attempts", a, status, upstream, attempts)
	}
}

// wantError fails the test unless a is an error with that code.
func (a response) wantError(t *testing.T, status int, code string) {
	t.Helper()
	if a.err != nil || a.status != status || a.code() != code {
		t.Errorf("got %v; want %d %s", a, status, code)
	}
	if status == http.StatusBadGateway && a.header.Get("Retry-After-Ms") == "" {
		t.Errorf("%v does not invite a retry", a)
	}
}

// send sends a request, and fails the test if an error of the gateway itself is not
// in OpenAI's shape.
func (r *rig) send(t *testing.T, method, path, body string, headers ...string) response {
	t.Helper()
	return r.sendFrom(t, method, path, strings.NewReader(body), headers...)
}

// sendFrom is send for a body that may be of unknown length.
func (r *rig) sendFrom(t *testing.T, method, path string, body io.Reader, headers ...string) (a response) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	begin := time.Now()
	res, err := r.open(ctx, method, path, body, headers...)
	if err != nil {
		return response{err: err, took: time.Since(begin)}
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	a = response{status: res.StatusCode, header: res.Header, body: string(b), err: err, took: time.Since(begin),
		upstream: res.Header.Get("X-Relay-Upstream")}
	a.attempts, _ = strconv.Atoi(res.Header.Get("X-Relay-Attempts"))
	wantWords(t, res, b)
	return a
}

const patience = 30 * time.Second

// open sends a request and returns its response, whose body is to be closed.
func (r *rig) open(ctx context.Context, method, path string, body io.Reader,
	headers ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.base+path, body)
	if err != nil {
		return nil, err
	}
	req.GetBody = nil // a client that does not retry
	req.Header.Set("Authorization", "Bearer "+canaryKey)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return r.client.Do(req)
}

const chat = `{"model":"gpt-4o-mini","messages":[{"role":"user","content":"abcdefgh"}]}`

// sendChat requests a chat in one piece.
func (r *rig) sendChat(t *testing.T, headers ...string) response {
	t.Helper()
	a := r.send(t, http.MethodPost, "/v1/chat/completions", chat, headers...)
	if a.status == http.StatusOK && a.err == nil && !strings.Contains(a.body, fakeopenai.Reply("abcdefgh")) {
		t.Errorf("got %v, which is another response", a)
	}
	return a
}

// wantWords fails the test if a response is a relay's own error and not in OpenAI's
// shape.
func wantWords(t *testing.T, res *http.Response, body []byte) {
	t.Helper()
	if res.Header.Get("X-Relay-Error") == "" &&
		(res.StatusCode < 400 || !strings.Contains(res.Header.Get("X-Relay"), "origin=relay")) {
		return
	}
	var e struct {
		Error struct {
			Message, Type, Code string
			Param               *string
		}
	}
	if err := json.Unmarshal(body, &e); err != nil || e.Error.Message == "" || e.Error.Type != "relay_error" ||
		e.Error.Code != res.Header.Get("X-Relay-Error") ||
		!strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") || res.Header.Get("X-Relay") == "" {
		t.Errorf("the relay returned %d %v %q, want an error in OpenAI's shape", res.StatusCode, res.Header, body)
	}
	if strings.Contains(string(body), canary) {
		t.Errorf("the relay's response holds a secret: %q", body)
	}
}

// A state is an upstream's entry in the gateway's health.
type state struct {
	Name, State string
	InFlight    int    `json:"in_flight"`
	LastError   string `json:"last_error"`
	RetryInMS   int64  `json:"retry_in_ms"`
}

// states returns the regions' states.
func (r *rig) states(t *testing.T) []state {
	t.Helper()
	var report struct{ Upstreams []state }
	a := r.send(t, http.MethodGet, "/relay/health", "")
	if err := json.Unmarshal([]byte(a.body), &report); err != nil || len(report.Upstreams) != len(r.Regions) {
		t.Fatalf("health: %v", a)
	}
	return report.Upstreams
}

// await waits until ok is true, and fails the test if that takes too long.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("waited %v for %s", patience, what)
			return
		}
	}
}

// awaitState waits until a region is in a state.
func (r *rig) awaitState(t *testing.T, region int, want string) (s state) {
	t.Helper()
	await(t, r.Regions[region].Name+" to be "+want, func() bool {
		s = r.states(t)[region]
		return s.State == want
	})
	return s
}

// awaitLog waits for a line of the gateway's log about an upstream.
func (r *rig) awaitLog(t *testing.T, level, msg, upstream, reason string) {
	t.Helper()
	await(t, fmt.Sprintf("%s %q, %s, %q in the log", level, msg, upstream, reason), func() bool {
		for line := range strings.Lines(r.gatewayLog.String()) {
			var record struct{ Level, Msg, Upstream, Reason string }
			if json.Unmarshal([]byte(line), &record) == nil && record.Level == level && record.Msg == msg &&
				record.Upstream == upstream && record.Reason == reason {
				return true
			}
		}
		return false
	})
}

// posts returns how many POSTs the upstream has had.
func (r *rig) posts() (n int) {
	for _, req := range r.Upstream.Requests() {
		if req.Method == http.MethodPost {
			n++
		}
	}
	return n
}

// wantPosts fails the test unless the upstream has had n POSTs.
func (r *rig) wantPosts(t *testing.T, n int) {
	t.Helper()
	if got := r.posts(); got != n {
		t.Errorf("the upstream had %d POSTs, want %d", got, n)
	}
}

// figures are what clients saw of a load.
type figures struct {
	responses []load.Response
	outcomes  map[load.Outcome]int
	attempts  int
	first     load.Histogram // to the first byte, of responses that have one
	late      time.Duration  // how late a request was sent at most
}

// A clock measures time since a load began.
type clock time.Time

func (c clock) until(d time.Duration) { time.Sleep(time.Until(time.Time(c).Add(d))) }
func (c clock) now() time.Duration    { return time.Since(time.Time(c)) }

// load puts load on the gateway while act happens.
func (r *rig) load(t *testing.T, l load.Open, act func(clock)) *figures {
	t.Helper()
	l.Base, l.Key, l.Reply, l.Timeout = r.base, canaryKey, fakeopenai.Reply, patience
	l.Inspect = func(res *http.Response, body []byte) { wantWords(t, res, body) }
	began := time.Now()
	var acting sync.WaitGroup
	acting.Go(func() { act(clock(began)) })
	f := &figures{responses: l.Run(t.Context(), began), outcomes: make(map[load.Outcome]int)}
	acting.Wait()
	for _, a := range f.responses {
		f.outcomes[a.Outcome]++
		f.attempts += a.Attempts
		f.late = max(f.late, a.Late)
		if a.First > 0 {
			f.first.Record(a.First)
		}
		if a.Attempts > 3 {
			t.Errorf("%s took %d attempts", a.ID, a.Attempts)
		}
		if a.Outcome == load.Truncated || a.Outcome == load.Failed {
			t.Errorf("%s, due at %v: %v: %d %q by %s, %v", a.ID, a.Due, a.Outcome, a.Status, a.Code, a.Upstream, a.Err)
		}
	}
	n := len(f.responses)
	if retries, most := f.attempts-n, n/5+3*(1+n/l.Rate); retries > most {
		t.Errorf("%d retries of %d requests, want %d at most", retries, n, most)
	}
	return f
}

// timed reports whether times are meaningful: on a machine where even the clients are
// late, all processes of a rig wait for each other.
func (f *figures) timed() bool { return f.late < 50*time.Millisecond }

func (f *figures) String() string {
	if !f.timed() {
		return fmt.Sprintf("%d requests: %s; not timed since clients were late by %v", len(f.responses), f.ends(),
			f.late.Round(time.Millisecond))
	}
	return fmt.Sprintf("%d requests: %s; first byte p99 %v, max %v", len(f.responses), f.ends(),
		f.first.Quantile(0.99).Round(time.Millisecond), f.first.Quantile(1).Round(time.Millisecond))
}

// ends returns how many requests ended in which way.
func (f *figures) ends() string {
	var list []string
	for _, outcome := range slices.Sorted(maps.Keys(f.outcomes)) {
		list = append(list, fmt.Sprintf("%d %v", f.outcomes[outcome], outcome))
	}
	return strings.Join(list, ", ")
}

// wantAmbiguous fails the test unless n requests at most got an ambiguous 502.
func (f *figures) wantAmbiguous(t *testing.T, n int) {
	t.Helper()
	if got := f.outcomes[load.Ambiguous]; got > n {
		t.Errorf("%d requests got a 502, want %d at most: %v", got, n, f)
		for _, a := range f.responses {
			if a.Outcome == load.Ambiguous {
				t.Logf("%s, due at %v, ended after %v: %d %q by %s, %d attempts", a.ID, a.Due, a.End, a.Status, a.Code,
					a.Upstream, a.Attempts)
			}
		}
	}
}

// wantNoDouble fails the test if the upstream had a POST of the load twice, or one
// that no client sent.
func (r *rig) wantNoDouble(t *testing.T, f *figures) {
	t.Helper()
	times := make(map[string]int)
	for _, a := range f.responses {
		times[a.ID] = 0
	}
	for _, req := range r.Upstream.Requests() {
		id := req.Header.Get("X-Client-Request-Id")
		if req.Method != http.MethodPost {
			continue
		}
		if n, known := times[id]; !known || n > 0 {
			t.Errorf("the upstream had %q once too often", id)
		}
		times[id]++
	}
	for _, a := range f.responses {
		if a.Outcome == load.Complete && times[a.ID] != 1 {
			t.Errorf("%s is complete, and the upstream had it %d times", a.ID, times[a.ID])
		}
	}
}

// used returns when a region got its first request that was due after a time since
// the load began. Requests that a front has delayed were due before.
func (r *rig) used(region, rate int, after time.Duration) (time.Time, bool) {
	for _, s := range r.Regions[region].Front.Served() {
		if due, ok := load.Due(s.ID, rate); ok && due > after {
			return s.At, true
		}
	}
	return time.Time{}, false
}
