package fronts

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/torture"
)

// soon is how soon an upstream must notice that a client has disconnected.
const soon = 50 * time.Millisecond

var (
	deaf      = excepting("Lambda does not tell a function that its client has disconnected", lambdas...)
	eventful  = excepting("AWS reads the request itself, and delivers it whole or not at all", lambdas...)
	unpaced   = excepting("AWS reads the function's response at its own pace", lambdas...)
	noUpgrade = excepting("function URLs do not support upgraded connections: 426 websocket_unsupported", lambdas...)
)

func TestClients(t *testing.T) {
	runRows(t, []row{
		{"A01", "disconnect before the body is complete", servers, eventful, nil, brokenUpload},
		{"A02", "disconnect before the response's header", servers, deaf, nil, goneBeforeHeader},
		{"A03", "disconnect amid events", servers, deaf, nil, goneAmidEvents},
		{"A04", "half-close after the request", servers, with(
			excepting("net/http takes a half-close for a disconnect and cancels the request; official SDKs never "+
				"half-close", servers...), eventful), nil, halfClosed},
		{"A05", "slow header", []string{local, vercel, gateway},
			with(eventful, excepting("the functions framework has no timeout of its own; Google's front end does",
				gcf)), nil, slowHeader},
		{"A06", "slow body", servers, eventful, []string{"RELAY_BODY_TIMEOUT=400ms"}, slowBody},
		{"A07", "slow reader of 50 MB", servers, unpaced, nil, slowReader},
		{"A08", "reader that stalls forever", servers, unpaced, nil, stalledReader},
		{"A09", "Expect with a bad token", servers, eventful, nil, expectBadToken},
		{"A10", "Expect, and the upstream says 401", servers, eventful, nil, expectRefused},
		{"A11", "Expect: nonsense", servers, eventful, nil, expectNonsense},
		{"A12", "body shorter than its length", servers, eventful, nil, shortBody},
		{"A13", "body over the limit", all, nil, []string{"RELAY_MAX_BODY_BYTES=100000"}, largeBody},
		{"A14", "pipelined requests", servers, eventful, nil, pipelined},
		{"A15", "many requests on one connection", all, nil, nil, keptAlive},
		{"A16", "HEAD, OPTIONS, DELETE with a body", all, nil, nil, otherMethods},
		{"A17", "gzip request body", all, nil, nil, gzipBody},
		{"A18", "WebSockets that end in every way", servers, noUpgrade, nil, webSockets},
	})
}

// upload begins a POST whose body is larger than a relay reads ahead.
func (r *rig) upload(length, sent int, headers ...string) *wire {
	r.Helper()
	w := r.dial()
	w.say(fmt.Sprintf("POST %s HTTP/1.1\r\n%s%sContent-Length: %d\r\n\r\n%s", chatPath, canaries,
		strings.Join(headers, ""), length, strings.Repeat("x", sent)))
	return w
}

func brokenUpload(r *rig) {
	w := r.upload(200_000, 50_000)
	r.WaitArrived(r, 1)
	left := time.Now()
	w.Close()
	req := r.Wait(r, 1)
	if req.BodyErr == nil {
		r.Errorf("upstream got a whole request of %d bytes", len(req.Body))
	}
	r.noteCanceled(req.WaitCanceled(r).Sub(left))
	r.wantNext()
}

// noteCanceled notes how long the upstream took to notice a disconnect.
func (r *rig) noteCanceled(d time.Duration) {
	r.note(fmt.Sprintf("upstream cancelled after %.1f ms", float64(d.Microseconds())/1000))
	if d > 2*time.Second {
		r.Errorf("upstream noticed after %v", d)
	}
}

func goneBeforeHeader(r *rig) {
	w := r.dial()
	w.say(post(chatPath, stream, "Fake-Fault: hang\r\n"))
	req := r.Wait(r, 1)
	left := time.Now()
	w.leave()
	r.noteCanceled(req.WaitCanceled(r).Sub(left))
	if !r.is(worker) && !eventually(5*time.Second, func() bool { return strings.Contains(r.logs(), `"status":499`) }) {
		r.Errorf("no 499 in the log:\n%s", r.logs())
	}
	r.wantUpstream(1)
	r.wantNext()
}

// goneAmidEvents compares how soon the upstream notices that a client has
// disconnected, with and without a relay.
func goneAmidEvents(r *rig) {
	n := torture.Pick(60, 1000)
	var leaving, control []time.Duration
	sent := 0
	leave := func(req *http.Request) time.Duration {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		res, err := r.transport.RoundTrip(req.WithContext(ctx))
		if err != nil {
			r.Fatal(err)
		}
		defer res.Body.Close()
		if _, err := io.ReadFull(res.Body, make([]byte, 100)); err != nil {
			r.Fatal(err)
		}
		sent++
		got := r.Wait(r, sent)
		left := time.Now()
		cancel()
		return got.WaitCanceled(r).Sub(left)
	}
	r.within(soon, func() time.Duration {
		leaving, control = nil, nil
		for range n {
			leaving = append(leaving, leave(request(r, "POST", r.base+chatPath, stream, "Fake-Fault",
				"events=500 gap=10ms")))
			control = append(control, leave(request(r, "POST", r.URL+chatPath, stream, "Fake-Fault",
				"events=500 gap=10ms", "X-Relay-Token", "")))
		}
		return p99(leaving) - p99(control)
	})
	r.note(fmt.Sprintf("%d cycles, upstream cancelled after p50 %.1f ms, p99 %.1f ms; without a relay p99 %.1f ms", n,
		ms(leaving[n/2]), ms(p99(leaving)), ms(p99(control))))
	if p50 := leaving[n/2]; p50 > soon {
		r.Errorf("upstream notices after %v, want %v", p50, soon)
	}
	r.wantUpstream(sent)
}

// within fails if the measurement exceeds the limit three times. A busy machine
// exceeds it now and then, a fault always.
func (r *rig) within(limit time.Duration, measure func() time.Duration) {
	r.Helper()
	var got []time.Duration
	for range 3 {
		d := measure()
		if d <= limit || r.Failed() {
			return
		}
		got = append(got, d)
	}
	r.Errorf("took %v, want %v", got, limit)
}

// p99 sorts times and returns the 99th percentile.
func p99(took []time.Duration) time.Duration {
	slices.Sort(took)
	return took[len(took)*99/100]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// halfClosed closes the client's half after its request, and reads on. It counts as
// a disconnect: nothing may stay open, and no response may look complete.
func halfClosed(r *rig) {
	if r.is(worker) {
		r.halfClosedServed()
		return
	}
	for i, fault := range []string{"hang", "events=500 gap=10ms"} {
		w := r.dial()
		w.say(post(chatPath, stream, "Fake-Fault: "+fault+"\r\n"))
		req := r.Wait(r, i+1)
		if fault != "hang" {
			if _, err := w.Peek(1); err != nil {
				r.Fatal(err)
			}
		}
		left := time.Now()
		_ = w.CloseWrite()
		if d := req.WaitCanceled(r).Sub(left); d > 2*time.Second {
			r.Errorf("%s: upstream noticed after %v", fault, d)
		}
		if a := w.response("POST"); a.err == nil || strings.Contains(a.body, "[DONE]") {
			r.Errorf("%s: got %v, want a broken end", fault, a)
		}
		w.Close()
	}
	if !eventually(5*time.Second, func() bool { return strings.Contains(r.logs(), `"status":499`) }) {
		r.Errorf("no 499 in the log:\n%s", r.logs())
	}
	r.wantUpstream(2)
	r.wantNext()
	r.note("the request is cancelled upstream, and the partial response looks broken")
}

func slowHeader(r *rig) {
	w := r.dial()
	begun := time.Now()
	go func() {
		for _, c := range "GET /v1/models HTTP/1.1\r\nHost: a\r\n" {
			if _, err := io.WriteString(w.TCPConn, string(c)); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	}()
	_, _ = io.Copy(io.Discard, w)
	if d := time.Since(begun); d < 9*time.Second || d > 13*time.Second {
		r.Errorf("closed after %v, want 10 s", d)
	}
	r.wantUpstream(0)
}

func slowBody(r *rig) {
	w := r.upload(200_000, 50_000)
	stop := time.AfterFunc(100*time.Millisecond, func() { w.say("x") })
	defer stop.Stop()
	r.wantError(w.response("POST"), http.StatusRequestTimeout, "body_timeout")
	if req := r.Wait(r, 1); req.BodyErr == nil {
		r.Errorf("upstream got a whole request of %d bytes", len(req.Body))
	}
	r.wantUpstream(1)
	r.wantNext()
}

// sip requests n responses that are far larger than any buffer, and reads a little
// of each.
func (r *rig) sip(n int) []*wire {
	r.Helper()
	var wires []*wire
	for range n {
		w := r.dial()
		_ = w.SetReadBuffer(64 << 10)
		w.say(post(chatPath, stream))
		if _, err := io.ReadFull(w, make([]byte, 1000)); err != nil {
			r.Fatal(err)
		}
		wires = append(wires, w)
	}
	return wires
}

// resident returns the resident memory of the processes.
func (r *rig) resident() (n int64) {
	for _, p := range r.processes {
		u, err := p.Usage()
		if err != nil {
			r.Fatal(err)
		}
		n += u.RSS
	}
	return n
}

// queued returns how many bytes wait in the kernel's buffers of the processes'
// sockets: they are not in a process's memory, but count as its container's.
func (r *rig) queued() (n int64) {
	for _, p := range r.processes {
		own := make(map[string]bool)
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.PID()))
		for _, fd := range fds {
			name, _ := os.Readlink(fd)
			own[strings.TrimSuffix(strings.TrimPrefix(name, "socket:["), "]")] = true
		}
		for _, table := range []string{"tcp", "tcp6"} {
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", p.PID(), table))
			for line := range strings.Lines(string(text)) {
				var sent, received int64
				if f := strings.Fields(line); len(f) > 9 && own[f[9]] && f[3] == "01" { // established
					_, _ = fmt.Sscanf(f[4], "%x:%x", &sent, &received)
				}
				n += sent + received
			}
		}
	}
	return n
}

// slowReader reads so slowly that most of the response must wait at the upstream,
// and then stops.
func slowReader(r *rig) {
	f := flooding(r, "application/octet-stream", 500_000_000)
	r.start(f.URL, "RELAY_WRITE_TIMEOUT=1s")
	r.sip(2) // allocates what is allocated once
	f.wantLeft(r, 2)
	before := r.resident()
	n := torture.Pick(10, 50)
	wires := r.sip(n)
	var most, kernel int64
	for range 8 {
		for _, w := range wires {
			if _, err := io.ReadFull(w, make([]byte, 16<<10)); err != nil {
				r.Fatal(err)
			}
		}
		time.Sleep(50 * time.Millisecond)
		most, kernel = max(most, r.resident()-before), max(kernel, r.queued())
	}
	each := most / int64(n)
	r.note(fmt.Sprintf("%d KiB per stream, and %d KiB in the kernel's buffers of its sockets; ended at the write "+
		"deadline", each>>10, kernel/int64(n)>>10))
	// Of ten streams, the garbage collector's slack is more than what they take.
	if limit := torture.Pick[int64](1<<20, 256<<10); each > limit {
		r.Errorf("%d KiB per stream, want less than %d", each>>10, limit>>10)
	}
	f.wantLeft(r, n+2)
}

func stalledReader(r *rig) {
	const n = 10
	f := flooding(r, "text/event-stream", 500_000_000)
	r.start(f.URL, "RELAY_WRITE_TIMEOUT=1s")
	begun := time.Now()
	wires := r.sip(n)
	f.wantLeft(r, n)
	d := time.Since(begun)
	r.note(fmt.Sprintf("write deadline of 1 s: all released after %.1f s", d.Seconds()))
	if d > 5*time.Second {
		r.Errorf("freed after %v, want the write deadline of 1 s", d)
	}
	r.noDescriptors() // while the clients still hold their ends
	for _, w := range wires {
		w.Close()
	}
}

func expectBadToken(r *rig) {
	w := r.dial()
	w.say("POST " + chatPath + " HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Relay-Token: wrong\r\nExpect: 100-continue\r\n" +
		"Content-Length: 100000\r\n\r\n")
	r.wantError(w.response("POST"), http.StatusUnauthorized, "invalid_access_token") // a 100 would be this response
	r.wantUpstream(0)
}

func expectRefused(r *rig) {
	w := r.dial()
	w.say("POST " + chatPath + " HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer sk-invalid\r\nX-Relay-Token: " +
		canaryToken + "\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n")
	a := w.response("POST")
	if a.status != http.StatusUnauthorized || !strings.Contains(a.body, "invalid_api_key") {
		r.Errorf("got %v, want the upstream's 401", a)
	}
	if req := r.Wait(r, 1); len(req.Body) > 0 {
		r.Errorf("upstream got %d bytes of body", len(req.Body))
	}
	r.wantUpstream(1)
}

func expectNonsense(r *rig) {
	if a := r.raw("POST " + chatPath + " HTTP/1.1\r\n" + canaries +
		"Expect: nonsense\r\nContent-Length: 2\r\n\r\n{}"); a.status != http.StatusExpectationFailed {
		r.Errorf("got %v, want 417", a)
	}
	r.wantUpstream(0)
}

func shortBody(r *rig) {
	arrived := 2
	if r.is(worker) {
		arrived = 1 // it sees that a body is short before it sends any of it
	}
	for _, sent := range []int{10, 100_000} {
		w := r.upload(200_000, sent)
		if sent > 1000 {
			r.WaitArrived(r, arrived)
		}
		_ = w.CloseWrite()
		if a := w.response("POST"); a.err == nil && a.status < 400 {
			r.Errorf("%d bytes: got %v, want an error", sent, a)
		}
	}
	for _, req := range r.Requests() {
		if req.BodyErr == nil {
			r.Errorf("upstream got a whole request of %d bytes", len(req.Body))
		}
	}
	r.wantNext()
}

func largeBody(r *rig) {
	var refused response
	if r.is(worker) {
		// workerd resets the connection while the rest of a refused body is being sent, by
		// which a client may lose the response. Cloudflare's edge is not in front of it here.
		refused = r.upload(100_001, 1000).response("POST")
	} else {
		refused = r.send("POST", chatPath, strings.Repeat("x", 100_001))
	}
	r.wantError(refused, http.StatusRequestEntityTooLarge, "body_too_large")
	r.wantUpstream(0)
	if r.is(servers...) {
		w := r.dial()
		w.say("POST " + chatPath + " HTTP/1.1\r\n" + canaries + "Transfer-Encoding: chunked\r\n\r\n")
		for range 30 {
			w.say("1000\r\n" + strings.Repeat("x", 0x1000) + "\r\n")
		}
		r.wantError(w.response("POST"), http.StatusRequestEntityTooLarge, "body_too_large")
		if req := r.Wait(r, 1); req.BodyErr == nil {
			r.Errorf("upstream got a whole request of %d bytes", len(req.Body))
		}
	}
	if a := r.send("POST", "/v1/files", strings.Repeat("x", 100_000)); a.status == http.StatusRequestEntityTooLarge {
		r.Errorf("a body at the limit: %v", a)
	}
	r.wantNext()
}

func pipelined(r *rig) {
	w := r.dial()
	w.say(post(chatPath, stream, "Fake-Fault: gap=10ms\r\n") + "GET /v1/models HTTP/1.1\r\n" + canaries + "\r\n" +
		post(chatPath, chat))
	first, second, third := w.response("POST"), w.response("GET"), w.response("POST")
	if !strings.Contains(first.body, "[DONE]") || first.err != nil {
		r.Errorf("the first: %v", first)
	}
	if !strings.Contains(second.body, `"object":"list"`) && !strings.Contains(second.body, `"object": "list"`) {
		r.Errorf("the second: %v", second)
	}
	if !strings.Contains(third.body, "hgfedcba") {
		r.Errorf("the third: %v", third)
	}
	r.wantUpstream(3)
}

func keptAlive(r *rig) {
	n := torture.Pick(100, 1000)
	if r.is(lambdas...) {
		n = torture.Pick(50, 200)
	}
	for i := range n {
		said := fmt.Sprintf("number %d", i)
		a := r.send("POST", chatPath, strings.Replace(chat, "abcdefgh", said, 1))
		var got struct {
			Choices []struct{ Message struct{ Content string } }
		}
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || len(got.Choices) != 1 ||
			got.Choices[0].Message.Content != fakeopenai.Reply(said) {
			r.Fatalf("%s: %v", said, a)
		}
	}
	r.wantUpstream(n)
	r.note(fmt.Sprintf("%d requests", n))
}

func otherMethods(r *rig) {
	a := r.send("HEAD", "/v1/models", "")
	if a.status != 200 || a.body != "" || a.err != nil {
		r.Errorf("HEAD: %v", a)
	}
	if a := r.send("OPTIONS", "/v1/models", ""); a.status != http.StatusMethodNotAllowed {
		r.Errorf("OPTIONS: %v, want the upstream's 405", a)
	}
	if a := r.send("DELETE", "/v1/models/ft:x", `{"why":"not"}`); a.status != 200 {
		r.Errorf("DELETE: %v", a)
	}
	for i, want := range []string{"HEAD ", "OPTIONS ", `DELETE {"why":"not"}`} {
		if req := r.Wait(r, i+1); req.Method+" "+string(req.Body) != want {
			r.Errorf("upstream saw %s %s, want %s", req.Method, req.Body, want)
		}
	}
	r.wantUpstream(3)
}

func gzipBody(r *rig) {
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	_, _ = io.WriteString(zw, chat)
	_ = zw.Close()
	a := r.send("POST", chatPath, b.String(), "Content-Encoding", "gzip")
	if a.status != 200 || !strings.Contains(a.body, "hgfedcba") {
		r.Errorf("got %v", a)
	}
	if req := r.Wait(r, 1); !bytes.Equal(req.Body, b.Bytes()) || req.Header.Get("Content-Encoding") != "gzip" {
		r.Errorf("upstream got other bytes: %q", req.Body)
	}
	r.wantUpstream(1)
}

// text returns a client's frame (RFC 6455, section 5.2), with a mask of zeros.
func text(s string) string {
	head := []byte{0x81, 0x80 | 127}
	head = binary.BigEndian.AppendUint64(head, uint64(len(s)))
	return string(append(head, 0, 0, 0, 0)) + s
}

// handshake opens a WebSocket.
func (r *rig) handshake(fault string) *wire {
	r.Helper()
	w := r.dial()
	w.say("GET /v1/realtime?model=m HTTP/1.1\r\n" + canaries + upgrade + "Fake-Fault: " + fault + "\r\n\r\n")
	res, err := http.ReadResponse(w.Reader, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		r.Fatalf("handshake: %v %v", res, err)
	}
	return w
}

// frame reads a server's frame.
func (w *wire) frame() (string, error) {
	var head [2]byte
	if _, err := io.ReadFull(w.Reader, head[:]); err != nil {
		return "", err
	}
	n := uint64(head[1] & 0x7f)
	if extra := map[uint64]int{126: 2, 127: 8}[n]; extra > 0 {
		b := make([]byte, 8)
		if _, err := io.ReadFull(w.Reader, b[8-extra:]); err != nil {
			return "", err
		}
		n = binary.BigEndian.Uint64(b)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(w.Reader, b)
	return string(b), err
}

func webSockets(r *rig) {
	const second = 2 * time.Second // the matrix says one; machines are busy
	for i, end := range []struct {
		name, fault string
		act         func(w rawConn)
		gone        bool // the upstream sees a disconnect
	}{
		{"client half-close", "", func(w rawConn) { _ = w.CloseWrite() }, true},
		{"client reset", "", rawConn.rst, true},
		{"client close frame", "", func(w rawConn) { w.say("\x88\x82\x00\x00\x00\x00\x03\xe8") }, false},
		{"server end", "cut=2", func(w rawConn) { w.say(text("two")) }, false},
		{"server reset", "reset=2", func(w rawConn) { w.say(text("two")) }, false},
		{"close while data flies", "", func(w rawConn) {
			w.say(text(strings.Repeat("x", 1<<20)) + "\x88\x82\x00\x00\x00\x00\x03\xe8")
		}, false},
	} {
		w := r.handshake(end.fault)
		w.say(text("one"))
		if got, err := w.frame(); got != "one" || err != nil {
			r.Errorf("%s: echo %q %v", end.name, got, err)
		}
		begun := time.Now()
		end.act(w.rawConn)
		if end.name == "close while data flies" {
			if got, err := w.frame(); len(got) != 1<<20 || err != nil {
				r.Errorf("%s: %d bytes delivered, %v", end.name, len(got), err)
			}
		}
		if end.name == "server end" {
			if got, err := w.frame(); got != "two" || err != nil {
				r.Errorf("%s: the last message: %q %v", end.name, got, err)
			}
		}
		if end.name != "client reset" {
			if _, err := io.Copy(io.Discard, w); err != nil && errors.Is(err, context.DeadlineExceeded) {
				r.Errorf("%s: %v", end.name, err)
			}
		}
		r.Wait(r, i+1).WaitDone(r)
		if d := time.Since(begun); d > second {
			r.Errorf("%s: both sides closed after %v", end.name, d)
		}
		w.Close()
	}
}
