package fronts

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/relay/internal/lambdaemu"
	"example.com/relay/internal/proc"
	"example.com/relay/internal/torture"
)

func TestUpstreams(t *testing.T) {
	runRows(t, []row{
		{"B01", "refused, unknown, untrusted", all, nil, nil, unreachable},
		{"B02", "accepts, never responds", lambdas,
			excepting("the only timeouts before a response's header are the client's own (X-Stainless-Timeout) and "+
				"the platform's", servers...), nil, silentUpstream},
		{"B03", "reset after the request", all, nil, nil, resetAfterRequest},
		{"B04", "header, then a reset", all, nil, nil, resetAfterHeader},
		{"B05", "cut after k events", all, nil, nil, cutAfterEvents},
		{"B06", "cut inside a line or a character", all, nil, nil, cutInside},
		{"B07", "a clean end without [DONE]", all, nil, nil, cleanEnd},
		{"B08", "wrong lengths", all, nil, nil, lyingLengths},
		{"B09", "bad and missing chunks", all, nil, nil, badChunks},
		{"B10", "invalid statuses", all, nil, nil, strangeStatuses},
		{"B11", "a hundred 103s", all, nil, nil, earlyHints},
		{"B12", "an unsolicited 101", all, nil, nil, unaskedSwitch},
		{"B13", "malformed headers", all, nil, nil, malformedHeaders},
		{"B14", "redirects to another host", all, nil, nil, redirections},
		{"B15", "encodings", all, nil, nil, encodings},
		{"B16", "unusual events", all, nil, nil, oddEvents},
		{"B17", "an early 413", servers, eventful, nil, earlyRefusal},
		{"B18", "stale connections", all, nil, nil, staleConnections},
		{"B19", "HTTP/2 faults", servers,
			excepting("a function that gets one request at a time uses HTTP/1.1 upstream", lambdas...), nil,
			http2Faults},
		{"B20", "silence between events", all, nil, []string{"RELAY_IDLE_TIMEOUT=300ms"}, silenceBetween},
		{"B21", "errors of the API", all, nil, nil, apiErrors},
		{"B22", "headers that pin and track", all, nil, nil, pinning},
		{"B23", "trailers", all, nil, nil, trailers},
		{"B24", "50 MB of JSON", []string{local, lambda, gcf, vercel, gateway},
			excepting("responses of more than 6 MB do not fit: 502 response_too_large", buffered), nil, largeResponse},
	})
}

func unreachable(r *rig) {
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = discard
	defer untrusted.Close()
	for name, url := range map[string]string{"refused": "http://" + proc.RefusingAddr(r.T),
		"unknown": "https://no-such-name.invalid", "untrusted": untrusted.URL} {
		r.start(url)
		a := r.send("POST", chatPath, chat)
		code := "upstream_connect"
		if r.is(worker) {
			code = "upstream_reset"
		}
		r.wantError(a, http.StatusBadGateway, code)
		if a.header.Get("Retry-After-Ms") == "" {
			r.Errorf("%s: no Retry-After-Ms", name)
		}
	}
	r.wantUpstream(0)
}

func silentUpstream(r *rig) {
	r.restartLambda(lambdaemu.Function{Timeout: 2 * time.Second}, r.URL)
	r.wantError(r.fault(chat, "hang"), http.StatusGatewayTimeout, "relay_deadline")
	r.wantUpstream(1)
	r.wantNext()
}

func resetAfterRequest(r *rig) {
	for i, fault := range []string{"reset-before", "close-before"} {
		a := r.fault(chat, fault)
		r.wantError(a, http.StatusBadGateway, "upstream_reset")
		r.wantUpstream(i + 1)
	}
	r.wantNext()
}

// wantBroken fails unless a response to a stream reports that it is truncated.
func (r *rig) wantBroken(what string, a response) {
	r.Helper()
	switch {
	case a.complete():
		r.Errorf("%s: %v looks complete", what, a)
	case r.is(buffered):
		if a.status != http.StatusBadGateway || !strings.Contains(a.body, "upstream_interrupted") {
			r.Errorf("%s: got %v, want a 502", what, a)
		}
	case a.status != 200 || a.err == nil || !strings.Contains(a.body, `"code":"upstream_interrupted"`) ||
		strings.Contains(a.body, "[DONE]"):
		r.Errorf("%s: got %v, want the error event and a broken end", what, a)
	}
}

func resetAfterHeader(r *rig) {
	r.wantBroken("reset", r.fault(stream, "reset"))
	r.wantUpstream(1)
	if a := r.fault(chat, "reset"); a.complete() {
		r.Errorf("JSON: %v looks complete", a)
	}
	r.wantUpstream(2)
	r.wantNext()
}

// whole returns the events of a faultless stream.
func (r *rig) whole() string {
	r.Helper()
	a := r.fault(stream, "")
	if a.err != nil || !strings.HasSuffix(a.body, "data: [DONE]\n\n") {
		r.Fatalf("a faultless stream: %v", a)
	}
	return a.body
}

func cutAfterEvents(r *rig) {
	for k := 1; k <= 5; k++ {
		for _, how := range []string{"cut", "reset"} {
			a := r.fault(stream, fmt.Sprintf("%s=%d gap=5ms", how, k))
			r.wantBroken(how, a)
			events, _, _ := strings.Cut(a.body, "data: {\"error\"")
			if !r.is(buffered) && strings.Count(strings.TrimRight(events, "\n")+"\n\n", "\n\n") != k {
				r.Errorf("%s after %d events: got %q", how, k, a.body)
			}
		}
	}
	r.wantUpstream(10)
	r.wantNext()
}

func cutInside(r *rig) {
	for _, fault := range []string{"cut-line=2", "cut-utf8=2", "cut-line=5", "cut-utf8=1"} {
		r.wantBroken(fault, r.fault(stream, fault))
	}
	r.wantUpstream(4)
}

func cleanEnd(r *rig) {
	want := strings.TrimSuffix(r.whole(), "data: [DONE]\n\n")
	a := r.fault(stream, "no-done")
	if a.err != nil || masked(a.body) != masked(want) {
		r.Errorf("got %v, want %q", a, want)
	}
	r.wantUpstream(2)
	if r.is(worker) {
		return
	}
	lines := 1
	if r.front == gateway {
		lines = 2 // the region's and the gateway's
	}
	missingDone := func() int { return strings.Count(r.logs(), `"done":false`) }
	if !eventually(5*time.Second, func() bool { return missingDone() >= lines }) || missingDone() != lines {
		r.Errorf("the logs report a stream without [DONE] %d times, want %d", missingDone(), lines)
	}
}

// masked returns events without their ids, which count requests.
func masked(events string) string {
	return ids.ReplaceAllString(events, "id")
}

func lyingLengths(r *rig) {
	n := 0
	for _, test := range []struct {
		fault string
		whole bool // the response may be complete
	}{{"short-cl", false}, {"long-cl", true}, {"two-cl", false}, {"cl-te", true}, {"close-delimited", true}} {
		for _, body := range []string{chat, stream} {
			a := r.fault(body, test.fault)
			if a.complete() && !test.whole {
				r.Errorf("%s: %v looks complete", test.fault, a)
			}
		}
		r.wantNext()
		n += 3
		r.wantUpstream(n)
	}
	// The exact bytes, and what follows them.
	for _, test := range []struct{ response, body string }{
		{"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n" +
			"Content-Length: 6\r\n\r\n\"evil\"", "{}"},
		{"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n{}", ""},
		{"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", ""},
		{"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2, 3\r\n\r\n{}", ""},
		{"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: +2\r\n\r\n{}", ""},
		{"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: -1\r\n\r\n{}", ""},
		{"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999999999999999999\r\n\r\n{}", ""},
		{"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n" +
			"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "{}"},
		{"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked, gzip\r\n\r\n2\r\n{}\r\n" +
			"0\r\n\r\n", ""},
		{"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n" +
			"0\r\n\r\n", ""},
		{"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: \x0bchunked\r\n\r\n2\r\n{}\r\n" +
			"0\r\n\r\n", ""},
	} {
		r.raws(test.response, func(a response, _ *script) {
			if test.body == "" && a.complete() || test.body != "" && a.body != test.body ||
				strings.Contains(a.body, "evil") {
				r.Errorf("%q: got %v", test.response, a)
			}
		})
	}
}

// ids match what differs between two responses to the same request.
var ids = regexp.MustCompile(`"id":"[^"]*"`)

// raws sends two requests to an upstream that responds to each with these bytes and
// closes the connection: the second must not get anything that the first left.
func (r *rig) raws(bytes string, check func(a response, s *script)) {
	r.Helper()
	s := responding(r, bytes, true)
	r.start(s.URL)
	check(r.send("POST", chatPath, chat), s)
	if n := s.requests.Load(); n != 1 {
		r.Errorf("%.100q: upstream saw %d requests, want 1", bytes, n)
	}
	if c := s.last.Load(); c != nil {
		awaitEnd(r, c.TCPConn)
	}
	check(r.send("POST", chatPath, chat), s)
}

func badChunks(r *rig) {
	for i, fault := range []string{"bad-chunk", "no-last-chunk"} {
		// Of all events but the end of the body, the client may have [DONE].
		if a := r.fault(stream, fault); a.complete() || !r.is(buffered) &&
			!strings.Contains(a.body, `"code":"upstream_interrupted"`) {
			r.Errorf("%s: got %v, want the error event and a broken end", fault, a)
		}
		if a := r.fault(chat, fault); a.complete() {
			r.Errorf("%s, JSON: %v looks complete", fault, a)
		}
		r.wantUpstream(2 * (i + 1))
	}
	for _, body := range []string{"-1\r\n{}\r\n0\r\n\r\n", "0x2\r\n{}\r\n0\r\n\r\n", "fffffffffffffffff\r\n{}",
		"2\r\n{}0\r\n\r\n", "2\r\n{}\r\n", strings.Repeat("0", 5000) + "2\r\n{}\r\n0\r\n\r\n"} {
		r.raws("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"+body,
			func(a response, _ *script) {
				valid := r.is(worker) && len(body) > 5000 && a.body == "{}" // no other server limits zeros
				if a.complete() && !valid {
					r.Errorf("%.50q: %v looks complete", body, a)
				}
			})
	}
}

func strangeStatuses(r *rig) {
	for i, status := range []string{"99", "000", "600", "999", "1000"} {
		a := r.fault(chat, "status="+status)
		r.wantError(a, http.StatusBadGateway, "")
		r.wantUpstream(i + 1)
	}
	if a := r.fault(chat, "status=599"); a.status != 599 {
		r.Errorf("599: got %v", a)
	}
}

func earlyHints(r *rig) {
	for _, body := range []string{chat, stream} {
		a := r.send("POST", chatPath, body, "Fake-Fault", "1xx=100", "Origin", "https://a.example")
		if a.status != 200 || !strings.Contains(a.body, "gpt-4o-mini") || a.err != nil {
			r.Errorf("got %v", a)
		}
		if a.header.Get("Access-Control-Allow-Origin") == "" || a.header.Get("Set-Cookie") != "" ||
			a.header.Get("Link") != "" {
			r.Errorf("headers: %v", a.header)
		}
	}
	if r.is(servers...) {
		w := r.dial()
		w.say(post(chatPath, chat, "Fake-Fault: 1xx=100\r\n"))
		if a := w.response("POST"); a.status != 200 {
			r.Errorf("the first response is %v", a)
		}
	}
}

func unaskedSwitch(r *rig) {
	r.wantError(r.fault(chat, "101"), http.StatusBadGateway, "")
	r.wantUpstream(1)
	r.wantNext()
}

func malformedHeaders(r *rig) {
	for i, fault := range []string{"header-kb=300", "header-nul", "obs-fold", "bare-lf"} {
		a := r.fault(chat, fault)
		switch {
		case a.status == http.StatusBadGateway:
			r.wantError(a, http.StatusBadGateway, "")
		case a.status != 200 || !strings.Contains(a.body, "hgfedcba") || i < 2:
			r.Errorf("%s: got %v", fault, a)
		}
		for name, values := range a.header {
			if strings.ContainsAny(name+strings.Join(values, ""), "\r\n\x00") {
				r.Errorf("%s: got header %q: %q", fault, name, values)
			}
		}
		r.wantUpstream(i + 1)
	}
	for _, head := range []string{"X y: z\r\n", ": z\r\n", "X\r\n", " X: z\r\n", "X: a\rb\r\n", "HTTP/1.1 200 OK\r\n",
		"X: a\x7f\r\n"} {
		r.raws("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"+head+"Content-Length: 2\r\n\r\n{}",
			func(a response, _ *script) {
				if a.status != http.StatusBadGateway && a.body != "{}" {
					r.Errorf("%q: got %v", head, a)
				}
				if got := a.header.Get("X"); strings.ContainsAny(got, "\r\n\x00") {
					r.Errorf("%q: got header %q", head, got)
				}
			})
	}
	for _, line := range []string{"", "\r\n", "HTTP/9.9 200 OK\r\n\r\n", "ICY 200 OK\r\n\r\n",
		"HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1\r\n\r\n", "\x16\x03\x01\x00\x05hello", "SSH-2.0-x\r\n"} {
		r.raws(line, func(a response, _ *script) { r.wantError(a, http.StatusBadGateway, "upstream_reset") })
	}
}

func redirections(r *rig) {
	elsewhere := scripted(r, func(c *turn) { _, _, _ = c.request() })
	for i, status := range []int{301, 302, 303, 307, 308} {
		a := r.fault(chat, fmt.Sprintf("redirect=%s/v1/x status=%d", elsewhere.URL, status))
		if a.status < 300 || a.status > 399 || a.header.Get("Location") != "" {
			r.Errorf("%d: got %v to %q", status, a, a.header.Get("Location"))
		}
		r.wantUpstream(i + 1)
	}
	if n := elsewhere.conns.Load(); n != 0 {
		r.Errorf("%d connections to elsewhere", n)
	}
}

func encodings(r *rig) {
	for _, fault := range []string{"gzip", "br"} {
		for _, body := range []string{chat, stream} {
			direct := request(r, "POST", r.URL+chatPath, body, "Fake-Fault", fault, "X-Relay-Token", "",
				"Accept-Encoding", "gzip, br")
			want := r.direct(direct)
			a := r.send("POST", chatPath, body, "Fake-Fault", fault, "Accept-Encoding", "gzip, br")
			if r.is(lambdas...) {
				// The platform hides truncation, so the relay requests what it can write an error into.
				if a.err != nil || a.status != 200 || a.header.Get("Content-Encoding") != "" {
					r.Errorf("%s: got %v", fault, a)
				}
				continue
			}
			if a.err != nil || a.header.Get("Content-Encoding") != fault || len(a.body) == 0 ||
				abs(len(a.body)-len(want.body)) > 8 {
				r.Errorf("%s: got %d bytes of %q, want %d", fault, len(a.body), a.header.Get("Content-Encoding"),
					len(want.body))
			}
		}
	}
	// A body that is not gzip is forwarded unchanged.
	s := responding(r, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"+
		"Content-Length: 5\r\n\r\n\x00\xff{}\n", true)
	r.start(s.URL)
	if a := r.send("POST", chatPath, chat, "Accept-Encoding", "gzip"); a.body != "\x00\xff{}\n" ||
		a.header.Get("Content-Encoding") != "gzip" {
		r.Errorf("wrong Content-Encoding: %v", a)
	}
}

func abs(n int) int { return max(n, -n) }

// direct sends a request to the upstream itself.
func (r *rig) direct(req *http.Request) response {
	r.Helper()
	res, err := r.transport.RoundTrip(req)
	if err != nil {
		r.Fatal(err)
	}
	return r.read(res)
}

// oddEvents compares odd streams byte by byte, and the time at which each piece
// arrives.
func oddEvents(r *rig) {
	const events = "\ufeff: comment\n\ndata: a\r\n\r\ndata: b\r\rdata: c\n\n:\n\nevent: x\ndata: é\ndata\n\n" +
		"id: \x00\n\ndata: [DONE]\n\n"
	pieces := []string{events, "data: " + strings.Repeat("z", 1<<20) + "\n\n"}
	for _, b := range []byte(events) {
		pieces = append(pieces, string(b))
	}
	var sent []time.Time
	var mu sync.Mutex
	next := make(chan bool, 1)
	s := scripted(r, func(c *turn) {
		if _, _, err := c.request(); err != nil {
			return
		}
		c.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n" +
			"Connection: close\r\n\r\n")
		for _, p := range pieces {
			mu.Lock()
			sent = append(sent, time.Now())
			mu.Unlock()
			c.say(fmt.Sprintf("%x\r\n%s\r\n", len(p), p))
			if !r.is(buffered) && !<-next { // the client has it
				return
			}
		}
		c.say("0\r\n\r\n")
	})
	r.start(s.URL)
	if r.is(buffered) {
		a := r.send("POST", chatPath, stream)
		if want := strings.Join(pieces, ""); a.body != want || a.err != nil {
			r.Errorf("got %d bytes, %v; want %d", len(a.body), a.err, len(want))
		}
		r.note("byte for byte, in one piece")
		return
	}
	// read returns how long each piece took, except the mebibyte.
	read := func(url string) (took []time.Duration) {
		mu.Lock()
		sent = nil
		mu.Unlock()
		res, err := r.transport.RoundTrip(request(r, "POST", url+chatPath, stream))
		if err != nil {
			r.Fatal(err)
		}
		defer res.Body.Close()
		for i, want := range pieces {
			got := make([]byte, len(want))
			if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != want {
				close(next)
				r.Fatalf("piece %d: got %.80q %v, want %.80q", i, got, err, want)
			}
			mu.Lock()
			if len(want) < 1<<20 {
				took = append(took, time.Since(sent[i]))
			}
			mu.Unlock()
			next <- true
		}
		if rest, err := io.ReadAll(res.Body); len(rest) > 0 || err != nil {
			r.Errorf("after the end: %q %v", rest, err)
		}
		return took
	}
	const soon = 5 * time.Millisecond
	// A busy machine delays different pieces each time, a relay the same ones.
	least := read(r.base)
	once, readings := slices.Sorted(slices.Values(least)), 1
	for ; slices.Max(least) > soon && readings < 5; readings++ {
		for i, d := range read(r.base) {
			least[i] = min(least[i], d)
		}
	}
	median := once[len(once)/2]
	r.note(fmt.Sprintf("byte for byte; each write arrives after p50 %.1f ms, p99 %.1f ms; the fastest of %d "+
		"readings: at most %.1f ms", ms(median), ms(p99(once)), readings, ms(slices.Max(least))))
	if median > soon || slices.Max(least) > soon {
		r.Errorf("writes come after %v (median), the slowest each time after %v, want %v", median, slices.Max(least),
			soon)
	}
}

func earlyRefusal(r *rig) {
	const n = 30
	size := torture.Pick(2<<20, 8<<20)
	if r.is(vercel) {
		size = min(size, 4<<20) // its own limit is 4.5 MB
	}
	body := `{"model":"m","x":"` + strings.Repeat("x", size) + `"}`
	for i := range n {
		a := r.send("POST", chatPath, body, "Fake-Fault", "early=413")
		if a.status != http.StatusRequestEntityTooLarge || a.err != nil || a.header.Get("X-Relay-Error") != "" {
			r.Fatalf("%d: got %v, want the upstream's 413", i, a)
		}
	}
	r.wantUpstream(n)
	r.note(fmt.Sprintf("%d of %d delivered", n, n))
	r.wantNext()
}

// staleConnections has the upstream close its connections, by FIN and by reset,
// while they are idle.
func staleConnections(r *rig) {
	n := torture.Pick(100, 300)
	s := ending(r)
	r.start(s.URL)
	for i := range n {
		if a := r.send("POST", chatPath, chat); a.status != 200 || a.body != "{}" {
			r.Fatalf("after %d closed connections: %v", i, a)
		}
		if i%2 == 0 {
			s.end(r, (*turn).rst)
		} else {
			s.end(r, hangUp)
		}
	}
	if got := s.requests.Load(); got != int64(n) {
		r.Errorf("upstream saw %d requests, want %d", got, n)
	}
	r.note(fmt.Sprintf("0 of %d POSTs failed", n))
	if !r.is(servers...) {
		return
	}
	// The same while the client is sending its body: the connection was good when
	// the request began.
	for i := range torture.Pick(10, 50) {
		if a := r.send("POST", chatPath, chat); a.status != 200 {
			r.Fatalf("%v", a)
		}
		w := r.dial()
		w.say(fmt.Sprintf("POST %s HTTP/1.1\r\n%sContent-Length: 20\r\n\r\n0123456789", chatPath, canaries))
		time.Sleep(10 * time.Millisecond)
		s.end(r, hangUp)
		w.say("0123456789")
		if a := w.response("POST"); a.status != 200 &&
			!(r.is(worker) && a.header.Get("X-Relay-Error") == "upstream_reset") {
			r.Fatalf("%d: closed while the body came: %v", i, a)
		}
		w.Close()
	}
}

func silenceBetween(r *rig) {
	a := r.fault(stream, "silence=2")
	switch {
	case r.is(buffered):
		r.wantError(a, http.StatusBadGateway, "upstream_interrupted")
	case a.err == nil || !strings.Contains(a.body, `"code":"upstream_idle_timeout"`):
		r.Errorf("got %v, want the error event and a broken end", a)
	}
	r.Wait(r, 1).WaitCanceled(r)
	r.wantUpstream(1)
	r.wantNext()
}

func apiErrors(r *rig) {
	for i, fault := range []string{"status=429 retry-after=1 retry-after-ms=20", "status=500",
		"status=503 should-retry=true", "status=401", "status=404"} {
		want := r.direct(request(r, "POST", r.URL+chatPath, chat, "Fake-Fault", fault, "X-Relay-Token", ""))
		a := r.fault(chat, fault)
		if a.status != want.status || masked(a.body) != masked(want.body) || a.header.Get("X-Relay-Error") != "" ||
			!strings.HasSuffix(a.header.Get("X-Relay"), "origin=upstream") {
			r.Errorf("%s: got %v, want %v", fault, a, want)
		}
		for _, name := range []string{"Retry-After", "Retry-After-Ms", "X-Should-Retry", "Content-Type"} {
			if a.header.Get(name) != want.header.Get(name) {
				r.Errorf("%s: %s = %q, want %q", fault, name, a.header.Get(name), want.header.Get(name))
			}
		}
		r.wantUpstream(2 * (i + 1))
	}
}

func pinning(r *rig) {
	s := responding(r, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n"+
		"Alt-Svc: h3=\":443\"\r\nStrict-Transport-Security: max-age=1\r\n"+
		"Report-To: {}\r\nNel: {}\r\nServer: cloudflare\r\nAccess-Control-Allow-Origin: https://evil.example\r\n"+
		"Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\nX-Request-Id: req_1\r\n"+
		"Content-Length: 2\r\n\r\n{}", true)
	r.start(s.URL)
	a := r.send("POST", chatPath, chat, "Origin", "https://a.example")
	for _, name := range []string{"Set-Cookie", "Alt-Svc", "Strict-Transport-Security", "Report-To", "Nel", "Server",
		"Access-Control-Allow-Credentials"} {
		if got := a.header.Values(name); len(got) > 0 {
			r.Errorf("%s: %q", name, got)
		}
	}
	if got := a.header.Values("Access-Control-Allow-Origin"); !slices.Equal(got, []string{"*"}) {
		r.Errorf("Access-Control-Allow-Origin: %q", got)
	}
	if a.body != "{}" || a.header.Get("X-Request-Id") != "req_1" {
		r.Errorf("got %v", a)
	}
}

func trailers(r *rig) {
	want := r.whole()
	res := r.open(r.Context(), stream, "trailers")
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || masked(string(body)) != masked(want) {
		r.Errorf("got %q %v", body, err)
	}
	for _, h := range []http.Header{res.Header, res.Trailer} {
		for _, name := range []string{"X-Announced", "X-Unannounced", "Trailer"} {
			if h.Get(name) != "" {
				r.Errorf("%s: %q", name, h.Get(name))
			}
		}
	}
	r.wantUpstream(2)
}

func largeResponse(r *rig) {
	const n = 50_000_000
	f := flooding(r, "application/json", n)
	r.start(f.URL)
	read := func() {
		res := r.open(r.Context(), chat, "")
		defer res.Body.Close()
		if got, err := io.Copy(io.Discard, res.Body); err != nil || got != n {
			r.Errorf("got %d bytes, %v", got, err)
		}
	}
	read() // allocates what is allocated once
	before := r.resident()
	most := int64(0)
	for range torture.Pick(2, 10) {
		read()
		most = max(most, r.resident()-before)
	}
	r.note(fmt.Sprintf("%d KiB more after the first response", max(most, 0)>>10))
	if most > 4<<20 {
		r.Errorf("%d KiB more", most>>10)
	}
}
