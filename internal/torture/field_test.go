package torture_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.com/relay/internal/proc"
	"example.com/relay/internal/regions"
	"example.com/relay/internal/torture"
)

// C21: OpenAI refuses a region in an error that is compressed.
func compressedRefusal(t *testing.T, _ func(string)) {
	for _, encoding := range []string{"gzip", "br"} {
		for _, line := range []string{"", " header=Content-Encoding:identity"} {
			t.Run(encoding+line, func(t *testing.T) {
				r := startRig(t, "RELAY_PROBE_INTERVAL=off")
				refused := true
				r.Upstream.SetFault(func(*http.Request) string {
					if refused {
						return "region-refused " + encoding + line
					}
					return ""
				})
				a := r.sendChat(t, "Accept-Encoding", "gzip, br")
				if a.status != http.StatusForbidden || a.code() != "" || a.header.Get("X-Relay-Refusal") != "" ||
					a.attempts != 3 {
					t.Errorf("while every region is refused: %v", a)
				}
				for i, s := range r.states(t) {
					if i < 2 && (s.State != "down" || s.LastError != "region_refused") ||
						s.LastError != "region_refused" {
						t.Errorf("health says %+v", s)
					}
				}
				refused = false
				r.sendChat(t).want(t, http.StatusOK, "region-3", 1) // the last one up
			})
		}
	}
}

// C22: the first region accepts smaller bodies than the others, or its platform does.
func bodyTooLarge(t *testing.T, _ func(string)) {
	large := `{"model":"gpt-4o-mini","messages":[{"role":"user","content":"` + strings.Repeat("large ",
		5<<20/6) + `"}]}`
	upload := func(t *testing.T, r *rig, known bool) response {
		t.Helper()
		var body io.Reader = strings.NewReader(large)
		if !known {
			body = io.NopCloser(body)
		}
		return r.sendFrom(t, http.MethodPost, "/v1/chat/completions", body, "X-Large", "1")
	}
	for _, probes := range []string{"off", "1s"} {
		for _, known := range []bool{true, false} {
			t.Run(fmt.Sprintf("a relay, probes %s, length known %t", probes, known), func(t *testing.T) {
				r := startRigOver(t, regions.Options{Regions: 2, First: []string{"RELAY_MAX_BODY_BYTES=4718592"}},
					"RELAY_PROBE_INTERVAL="+probes)
				for range 4 {
					if a := upload(t, r, known); a.status != http.StatusOK || a.upstream != "region-2" {
						t.Errorf("got %v", a)
					}
				}
				r.wantPosts(t, 4)
				if got, want := sha256.Sum256(r.Upstream.Last().Body), sha256.Sum256([]byte(large)); got != want {
					t.Errorf("the upstream got another body, of %d bytes", len(r.Upstream.Last().Body))
				}
				if s := r.states(t)[0]; s.State != "up" || s.LastError != "" {
					t.Errorf("health says %+v", s)
				}
			})
		}
	}
	for probes, page := range map[string]regions.Page{"off": regions.LambdaTooLarge, "1s": regions.VercelTooLarge} {
		t.Run("a platform, probes "+probes, func(t *testing.T) {
			r := startRigOver(t, regions.Options{Regions: 2}, "RELAY_PROBE_INTERVAL="+probes)
			r.sendChat(t).want(t, http.StatusOK, "region-1", 1)
			r.set(t, 0, regions.Firewall("X-Large", page)) // as platforms do, to large bodies only
			if a := upload(t, r, true); a.status != http.StatusOK || a.upstream != "region-2" {
				t.Errorf("got %v", a)
			}
			r.set(t, 1, regions.Firewall("X-Large", page))
			for range 30 { // early responses must arrive: a client whose connection is reset retries
				a := upload(t, r, true)
				if a.status != http.StatusRequestEntityTooLarge || a.code() != "body_too_large" ||
					a.header.Get("X-Should-Retry") != "false" ||
					!strings.Contains(a.body, ": platform_413") {
					t.Errorf("got %v", a)
				}
			}
			r.wantPosts(t, 2)
			for _, s := range r.states(t) {
				if s.State != "up" || s.LastError != "" {
					t.Errorf("health says %+v", s)
				}
			}
		})
	}
}

// C23: a region's process hangs shortly after it has responded, alone or behind a front
// that is well. The request that finds it is told so within a second, wherever the
// probes are; the next one goes elsewhere.
func hungRegion(t *testing.T, note func(string)) {
	var slowest time.Duration
	for _, since := range torture.Pick([]time.Duration{0, 600 * time.Millisecond},
		[]time.Duration{0, 200 * time.Millisecond, 400 * time.Millisecond, 600 * time.Millisecond}) {
		for _, wire := range []regions.Options{{Regions: 2}, {Regions: 2, TLS: true}} {
			for _, interval := range []string{"2s", "10s"} {
				t.Run(fmt.Sprintf("https %v, after %v, probes every %s", wire.TLS, since, interval),
					func(t *testing.T) {
						r := startRigOver(t, wire, "RELAY_UPSTREAM_HTTP=2", "RELAY_PROBE_INTERVAL="+interval)
						r.sendChat(t).want(t, http.StatusOK, "region-1", 1)
						time.Sleep(since)
						freeze(t, r.Regions[0], true)
						time.Sleep(100 * time.Millisecond) // a busy machine stops its threads one by one
						a := r.sendChat(t)
						if a.status == http.StatusOK && a.upstream == "region-2" {
							return // a probe had found it
						}
						a.wantError(t, http.StatusBadGateway, "upstream_reset")
						if !strings.Contains(a.body, "region-1: unresponsive") || strings.Contains(a.body, "The API ") {
							t.Errorf("the message: %s", a.body)
						}
						if since == 0 {
							// The gateway may not have had the region's health yet, and take it for a function.
							if a.took > 6*time.Second {
								t.Errorf("found after %v", a.took)
							}
						} else {
							slowest = max(slowest, a.took)
						}
						next := r.sendChat(t)
						if next.status != http.StatusOK || next.upstream != "region-2" {
							t.Errorf("the next request: %v", next)
						}
						freeze(t, r.Regions[0], false)
						r.awaitState(t, 0, "up")
					})
			}
		}
	}
	if slowest > 1500*time.Millisecond { // a second, and what a busy machine adds
		t.Errorf("found after %v", slowest)
	}
	note(fmt.Sprintf("found after %v at most", slowest.Round(time.Millisecond)))
}

// C26: a region hangs while nothing is sent to it: its process, behind a front that is
// well, or all of it. The next request is not lost: it goes to the next region within a
// second, and nothing of it reaches the API twice, even when the region goes on.
func hungBetweenRequests(t *testing.T, note func(string)) {
	var slowest time.Duration
	for _, wire := range []regions.Options{{Regions: 2}, {TLS: true, HTTP1: true}, {TLS: true}} {
		for _, since := range torture.Pick([]time.Duration{3 * time.Second},
			[]time.Duration{1200 * time.Millisecond, 5 * time.Second, time.Minute}) {
			for _, all := range []bool{false, true} {
				t.Run(fmt.Sprintf("https %v, HTTP/2 %v, after %v, with its front %v", wire.TLS, wire.TLS && !wire.HTTP1,
					since, all), func(t *testing.T) {
					slowest = max(slowest, askHungRegion(t, wire, since, all))
				})
			}
		}
	}
	if slowest > 1500*time.Millisecond { // a second, and what a busy machine adds
		t.Errorf("a response took %v", slowest)
	}
	note(fmt.Sprintf("response from another region after %v at most", slowest.Round(time.Millisecond)))
}

// askHungRegion lets the first region hang, all of it or its process, when nothing was
// sent for since, and returns how long a request then took.
func askHungRegion(t *testing.T, wire regions.Options, since time.Duration, all bool) time.Duration {
	r := startRigOver(t, wire, "RELAY_UPSTREAM_HTTP=2")
	await(t, "a response by region-1", func() bool { return r.sendChat(t).upstream == "region-1" })
	posts := r.posts()
	time.Sleep(since)
	if all {
		r.set(t, 0, regions.Silent)
	} else {
		freeze(t, r.Regions[0], true)
	}
	time.Sleep(1100 * time.Millisecond) // a probe may just have been answered
	a := r.sendChat(t)
	if a.status != http.StatusOK || a.upstream != "region-2" {
		t.Errorf("got %v; want 200 by region-2", a)
	}
	r.awaitState(t, 0, "down")
	if all {
		r.set(t, 0, regions.None)
	} else {
		freeze(t, r.Regions[0], false)
	}
	r.awaitState(t, 0, "up")
	r.wantPosts(t, posts+1)
	return a.took
}

func freeze(t *testing.T, region *regions.Region, frozen bool) {
	t.Helper()
	if err := region.Freeze(frozen); err != nil {
		t.Fatal(err)
	}
}

// foreignWords are errors of APIs that are neither relays nor OpenAI.
var foreignWords = []struct {
	status            int
	contentType, body string
}{
	{401, "application/json", `{"error":{"code":"401","message":"Access denied due to invalid subscription key."}}`},
	{404, "application/json", `{"detail":"Not Found"}`},
	{404, "application/json",
		`{"object":"error","message":"The model does not exist.","type":"NotFoundError","code":404}`},
	{401, "text/plain", "Unauthorized"},
	{403, "text/html", "<html>Forbidden"},
	{500, "text/plain", "Internal Server Error"},
}

// C24: an error of an API that is not a relay goes to the client, and does not count
// against the upstream.
func foreignAPI(t *testing.T, _ func(string)) {
	r := newRig(t, regions.Options{Regions: 1})
	word := foreignWords[0]
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", word.contentType)
		w.WriteHeader(word.status)
		_, _ = io.WriteString(w, word.body)
	}))
	t.Cleanup(api.Close)
	gateway := r.GatewayTest(t, proc.Options{Log: &r.gatewayLog, Env: []string{
		"RELAY_UPSTREAMS=" + api.URL + "#api," + r.Regions[0].Front.URL() + "#region-1", "RELAY_PROBE_INTERVAL=off",
	}})
	r.base = gateway.Base
	r.kill(t, 0)
	for _, word = range foreignWords {
		for range 3 {
			a := r.send(t, http.MethodPost, "/v1/chat/completions", chat)
			if a.status != word.status || a.body != word.body || a.upstream != "api" || a.code() != "" {
				t.Errorf("got %v, want %+v", a, word)
			}
		}
	}
	a := r.send(t, http.MethodGet, "/relay/health", "")
	if !strings.Contains(a.body, `"name":"api","state":"up"`) {
		t.Errorf("health says %s", a.body)
	}
}

// C25: the worst faults that clients have met, one after the other, through three
// regions of which the first accepts small bodies only, throttles, and is refused by
// OpenAI: an upgrade, a refusal that is compressed, a body that is too large, a region
// that responds during an upload, and errors that are not OpenAI's.
func reportsFromTheField(t *testing.T, _ func(string)) {
	r := startRigOver(t, regions.Options{First: []string{"RELAY_MAX_BODY_BYTES=1048576"}}, "RELAY_PROBE_INTERVAL=1s")
	t.Run("an upgrade", func(t *testing.T) {
		if status := r.upgrade(t); status != http.StatusSwitchingProtocols {
			t.Errorf("status %d", status)
		}
	})
	t.Run("a body that is too large", func(t *testing.T) {
		body := `{"messages":[{"role":"user","content":"` + strings.Repeat("x", 3<<20) + `"}]}`
		a := r.send(t, http.MethodPost, "/v1/chat/completions", body)
		if a.status != http.StatusOK || a.upstream != "region-2" || len(r.Upstream.Last().Body) != len(body) {
			t.Errorf("got %v, the upstream %d bytes", a, len(r.Upstream.Last().Body))
		}
	})
	t.Run("a response during an upload", func(t *testing.T) {
		r.set(t, 0, regions.Serving(regions.GCFUnavailable))
		defer r.set(t, 0, regions.None)
		for range 20 {
			r.uploadNumbered(t, 200<<10)
		}
	})
	r.awaitState(t, 0, "up")
	t.Run("errors that are not OpenAI's", func(t *testing.T) {
		a := r.sendChat(t, "Fake-Fault", "status=404 header=Content-Type:text/plain")
		if a.status != http.StatusNotFound || a.attempts != 1 || a.code() != "" {
			t.Errorf("got %v", a)
		}
	})
	t.Run("a refusal that is compressed", func(t *testing.T) {
		first := true
		r.Upstream.SetFault(func(*http.Request) string {
			if first {
				first = false
				return "region-refused gzip"
			}
			return ""
		})
		r.sendChat(t, "Accept-Encoding", "gzip").want(t, http.StatusOK, "region-2", 2)
		if s := r.states(t)[0]; s.State != "down" || s.LastError != "region_refused" {
			t.Errorf("health says %+v", s)
		}
	})
}

// upgrade opens a WebSocket through the gateway and returns the status.
func (r *rig) upgrade(t *testing.T) int {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = fmt.Fprintf(conn, "GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\nHost: 127.0.0.1\r\n"+
		"Connection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer %s\r\n\r\n",
		canaryKey)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode
}

// uploadNumbered posts a body of unknown length in which each four bytes are their
// own offset, and fails the test unless the upstream got exactly that.
func (r *rig) uploadNumbered(t *testing.T, size int) {
	t.Helper()
	body := make([]byte, 0, size+4)
	for len(body) < size {
		body = binary.BigEndian.AppendUint32(body, uint32(len(body)))
	}
	a := r.sendFrom(t, http.MethodPost, "/v1/files", io.NopCloser(bytes.NewReader(body)))
	if got := r.Upstream.Last().Body; a.err != nil || !bytes.Equal(got, body) {
		t.Errorf("%v: the upstream got %d bytes, not those of the request", a, len(got))
	}
}
