package fronts

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/relay/internal/torture"
)

// Frame types, flags and error codes of HTTP/2 (RFC 9113, sections 6 and 7).
const (
	frameData         = 0
	frameHeaders      = 1
	frameRSTStream    = 3
	frameSettings     = 4
	frameGoAway       = 7
	frameContinuation = 9

	flagEndStream  = 0x1
	flagEndHeaders = 0x4

	refusedStream = 7
	cancelStream  = 8
)

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// An http2Conn is an end of an HTTP/2 connection, by hand.
type http2Conn struct {
	net.Conn
	in *bufio.Reader
}

// A frame is one that came.
type frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

// write writes a frame; the peer may have closed the connection.
func (c *http2Conn) write(kind, flags byte, stream uint32, payload ...byte) error {
	head := make([]byte, 9, 9+len(payload))
	binary.BigEndian.PutUint32(head, uint32(len(payload))<<8|uint32(kind))
	head[4] = flags
	binary.BigEndian.PutUint32(head[5:], stream)
	_, err := c.Write(append(head, payload...))
	return err
}

// end closes the connection after the peer has. If it were closed at once with
// something unread, such as the rest of a request, it would be reset, and the
// response might be lost.
func (c *http2Conn) end() {
	defer c.Close()
	conn := c.Conn.(*tls.Conn)
	_ = conn.CloseWrite()
	_ = conn.NetConn().(*net.TCPConn).CloseWrite()
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.Copy(io.Discard, c.in)
}

func (c *http2Conn) read() (frame, error) {
	var head [9]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return frame{}, err
	}
	f := frame{head[3], head[4], binary.BigEndian.Uint32(head[5:]), make([]byte, binary.BigEndian.Uint32(head[:])>>8)}
	_, err := io.ReadFull(c.in, f.payload)
	return f, err
}

// field returns a header field in HPACK, without tables (RFC 7541, section 6.2.2).
func field(name, value string) []byte {
	b := []byte{0}
	for _, s := range []string{name, value} {
		if n := len(s); n < 127 {
			b = append(b, byte(n))
		} else {
			b = append(b, 127)
			for n -= 127; n >= 128; n /= 128 {
				b = append(b, byte(n%128+128))
			}
			b = append(b, byte(n))
		}
		b = append(b, s...)
	}
	return b
}

// fields returns header fields, given as names and values in turn.
func fields(pairs ...string) (b []byte) {
	for i := 0; i < len(pairs); i += 2 {
		b = append(b, field(pairs[i], pairs[i+1])...)
	}
	return b
}

// An http2Upstream counts the requests that came over its connections.
type http2Upstream struct {
	URL             string
	env             string // has a program trust it
	requests, conns atomic.Int64
}

// serveHTTP2 serves HTTP/2 over TLS by a function that is called with each
// request: the stream, and which connection and request it is, from 1 on.
func serveHTTP2(t testing.TB, respond func(c *http2Conn, stream uint32, conn, request int64)) *http2Upstream {
	t.Helper()
	certified := httptest.NewTLSServer(nil)
	t.Cleanup(certified.Close)
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE",
		Bytes: certified.Certificate().Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0",
		&tls.Config{Certificates: certified.TLS.Certificates, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	u := &http2Upstream{URL: "https://" + ln.Addr().String(), env: "SSL_CERT_FILE=" + roots}
	var wait sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		ln.Close()
		wait.Wait()
	})
	wait.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wait.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(ctx, func() { conn.Close() })()
				if _, err := io.ReadFull(conn, make([]byte, len(preface))); err == nil {
					u.serve(&http2Conn{conn, bufio.NewReader(conn)}, respond)
				}
			})
		}
	})
	return u
}

func (u *http2Upstream) serve(c *http2Conn, respond func(c *http2Conn, stream uint32, conn, request int64)) {
	n := u.conns.Add(1)
	_ = c.write(frameSettings, 0, 0)
	for {
		f, err := c.read()
		if err != nil {
			return
		}
		if f.kind == frameHeaders {
			respond(c, f.stream, n, u.requests.Add(1))
		}
	}
}

// respondHTTP2 responds to a stream with an empty object.
func respondHTTP2(c *http2Conn, stream uint32) {
	// :status 200
	_ = c.write(frameHeaders, flagEndHeaders, stream,
		append([]byte{0x88}, field("content-type", "application/json")...)...)
	_ = c.write(frameData, flagEndStream, stream, []byte("{}")...)
}

// http2Faults has an upstream with faults of HTTP/2.
func http2Faults(r *rig) {
	expect := func(what string, u *http2Upstream, ok bool, requests int64) {
		r.Helper()
		a := r.send("POST", chatPath, chat)
		if ok && (a.status != 200 || a.body != "{}") {
			r.Errorf("%s: got %v", what, a)
		} else if !ok {
			r.wantError(a, http.StatusBadGateway, "")
		}
		if n := u.requests.Load(); n != requests {
			r.Errorf("%s: upstream saw %d requests, want %d", what, n, requests)
		}
	}
	refuse := func(c *http2Conn, stream uint32) { _ = c.write(frameRSTStream, 0, stream, 0, 0, 0, refusedStream) }
	// nothing was processed
	goAway := func(c *http2Conn, _ uint32) { _ = c.write(frameGoAway, 0, 0, make([]byte, 8)...) }
	reset := func(c *http2Conn, stream uint32) { _ = c.write(frameRSTStream, 0, stream, 0, 0, 0, 2) }
	for _, test := range []struct {
		name     string
		respond  func(c *http2Conn, stream uint32)
		times    int64
		ok       bool
		requests int64
	}{
		{"refused", refuse, 1, true, 2},
		{"going away", goAway, 1, true, 2},
		{"refused for ever", refuse, 1 << 30, false, 2},
		{"reset", reset, 1 << 30, false, 1}, // it may have been processed
	} {
		u := serveHTTP2(r, func(c *http2Conn, stream uint32, _, n int64) {
			if n <= test.times {
				test.respond(c, stream)
				return
			}
			respondHTTP2(c, stream)
		})
		r.start(u.URL, u.env, "RELAY_UPSTREAM_HTTP=2")
		if test.requests > 1 && !test.ok && r.is(gateway) {
			test.requests *= 3 // each region says that nothing was processed
		}
		expect(test.name, u, test.ok, test.requests)
	}

	// Connections that end between two requests, with GOAWAY and without.
	n := int64(torture.Pick(20, 100))
	var last atomic.Pointer[http2Conn]
	u := serveHTTP2(r, func(c *http2Conn, stream uint32, _, n int64) {
		respondHTTP2(c, stream)
		if n%2 == 0 {
			_ = c.write(frameGoAway, 0, 0, append(binary.BigEndian.AppendUint32(nil, stream), 0, 0, 0, 0)...)
		}
		last.Store(c)
		c.end()
	})
	r.start(u.URL, u.env, "RELAY_UPSTREAM_HTTP=2")
	for i := range n {
		expect("closed between requests", u, true, i+1)
		if c := last.Load(); c != nil {
			awaitEnd(r, c)
		}
	}
	r.note(fmt.Sprintf("REFUSED_STREAM and GOAWAY: retried once; %d connections closed between requests: 0 POSTs "+
		"failed%s", n, r.silentHTTP2()))
}

// silentHTTP2 has a connection go dead, which only a ping can detect; that takes
// too long for the short form.
func (r *rig) silentHTTP2() string {
	r.Helper()
	if !torture.Long {
		return ""
	}
	u := serveHTTP2(r, func(c *http2Conn, stream uint32, conn, n int64) {
		if conn == 1 && n > 1 {
			_, _ = io.Copy(io.Discard, c)
			return
		}
		respondHTTP2(c, stream)
	})
	r.start(u.URL, u.env, "RELAY_UPSTREAM_HTTP=2")
	r.send("POST", chatPath, chat)
	begun := time.Now()
	a := r.send("POST", chatPath, chat)
	took := time.Since(begun)
	r.wantError(a, http.StatusBadGateway, "upstream_reset")
	if took > 25*time.Second {
		r.Errorf("a connection that does not answer pings was found dead after %v", took)
	}
	if a := r.send("POST", chatPath, chat); a.status != 200 {
		r.Errorf("after a dead connection: %v", a)
	}
	return fmt.Sprintf("; a connection that does not answer pings is found dead after %.0f s", took.Seconds())
}

// dialHTTP2 opens a connection to the front, by hand.
func (r *rig) dialHTTP2() *http2Conn {
	r.Helper()
	config := r.transport.TLSClientConfig.Clone()
	config.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", strings.TrimPrefix(r.base, "https://"), config)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
	c := &http2Conn{conn, bufio.NewReader(conn)}
	if _, err := io.WriteString(conn, preface); err != nil {
		r.Fatal(err)
	}
	_ = c.write(frameSettings, 0, 0)
	return c
}

// honest returns the fields of a valid POST.
func honest(extra ...string) []string {
	return append([]string{":method", "POST", ":scheme", "https", ":authority", "127.0.0.1", ":path", chatPath,
		"authorization", "Bearer " + canaryKey, "x-relay-token", canaryToken, "content-type", "application/json"},
		extra...)
}

// http2Attacks attacks over HTTP/2, which only programs speak that mount core in a
// server of their own: relay serve and the platforms' functions speak HTTP/1.1.
func http2Attacks(r *rig) {
	r.mounted(mount{http2: true})
	r.wantNext()
	r.Reset()
	before := growth{runtime.NumGoroutine(), heap()}
	fakes := r.fakeFields()
	flooded := r.continuationFlood()
	resets := r.rapidReset(torture.Pick(2000, 10_000)) // the last: some reach the upstream late
	r.transport.CloseIdleConnections()
	before.wantFlat(r)
	note := fmt.Sprintf("%d streams opened and reset, %d of them reached the upstream, all cancelled; a flood of "+
		"CONTINUATION ended after %d KiB; %d fake fields refused", resets.opened, resets.upstream, flooded>>10, fakes)
	if torture.Long {
		note += "; " + r.h2spec()
	}
	r.note(note)
}

// A growth is a measurement of what must not grow.
type growth struct {
	goroutines int
	heap       uint64
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func (g growth) wantFlat(r *rig) {
	r.Helper()
	const few, mib = 10, 1 << 20
	if !eventually(10*time.Second, func() bool { return runtime.NumGoroutine() <= g.goroutines+few }) {
		r.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), g.goroutines, stacks())
	}
	if now := heap(); now > g.heap+8*mib {
		r.Errorf("%d KiB on the heap, %d before", now>>10, g.heap>>10)
	}
}

type resets struct{ opened, upstream int }

// rapidReset opens streams and resets them at once (CVE-2023-44487), on new
// connections when the server has enough of one.
func (r *rig) rapidReset(n int) resets {
	r.Helper()
	r.SetFault(func(*http.Request) string { return "hang" })
	head := fields(honest()...)
	opened := 0
	for opened < n {
		c := r.dialHTTP2()
		go func() { _, _ = io.Copy(io.Discard, c.in) }()
		for stream := uint32(1); opened < n; stream += 2 {
			if c.write(frameHeaders, flagEndHeaders|flagEndStream, stream, head...) != nil ||
				c.write(frameRSTStream, 0, stream, 0, 0, 0, cancelStream) != nil {
				break // the server has sent GOAWAY
			}
			opened++
		}
		c.Close()
	}
	if !eventually(20*time.Second,
		func() bool { return !slices.ContainsFunc(strings.Split(stacks(), "\n\n"), isServed) }) {
		r.Errorf("requests that were reset are served on:\n%s", stacks())
	}
	var left int
	if !eventually(20*time.Second, func() bool {
		left = 0
		for _, req := range r.Requests() {
			if req.FinishedAt().IsZero() {
				left++
			}
		}
		return left == 0
	}) {
		r.Errorf("%d requests at the upstream were not cancelled", left)
	}
	r.SetFault(nil)
	reached := r.Arrived()
	r.wantNext()
	return resets{opened, reached}
}

// continuationFlood sends a header that never ends (CVE-2023-45288) and returns
// how many bytes of it were accepted.
func (r *rig) continuationFlood() (sent int) {
	r.Helper()
	c := r.dialHTTP2()
	defer c.Close()
	ended := make(chan bool)
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, c.in)
	}()
	piece := field("x-flood", strings.Repeat("x", 8<<10))
	_ = c.write(frameHeaders, flagEndStream, 1, fields(honest()...)...)
	const most = 64 << 20
	for sent < most && c.write(frameContinuation, 0, 1, piece...) == nil {
		sent += len(piece)
	}
	if sent >= most {
		r.Errorf("%d MiB of one header were accepted", sent>>20)
	}
	<-ended
	r.wantUpstream(0)
	r.wantNext()
	r.Reset()
	return sent
}

// fakeFields sends requests with fields that HTTP/1.1 cannot express, and returns
// how many.
func (r *rig) fakeFields() int {
	r.Helper()
	list := [][]string{
		honest(":path", "/v1/other"), // after a field that is not a pseudo-header
		append([]string{":path", "/v1/other"}, honest()...),
		append([]string{":authority", "evil.example"}, honest()...),
		append([]string{":method", "GET"}, honest()...),
		append([]string{":evil", "x"}, honest()...),
		append([]string{":status", "200"}, honest()...),
		append([]string{":protocol", "websocket"}, honest()...),
		honest("X-Upper", "x"), honest("x y", "x"), honest("x:y", "x"), honest("", "x"), honest("x\r\ny", "x"),
		honest("x", "a\r\nb: c"), honest("x", "a\x00b"), honest("x", "a\nb"),
		honest("connection", "keep-alive"), honest("transfer-encoding", "chunked"), honest("upgrade", "h2c"),
		honest("te", "gzip"), honest("keep-alive", "x"), honest("proxy-connection", "x"),
		{":method", "POST", ":scheme", "https", ":authority", "127.0.0.1"},
		{":method", "POST", ":scheme", "https", ":authority", "127.0.0.1", ":path", ""},
		{":scheme", "https", ":authority", "127.0.0.1", ":path", chatPath},
		{":method", "POST", ":authority", "127.0.0.1", ":path", chatPath},
	}
	for _, path := range []string{"v1/models", "//evil.example/v1/models", "/v1/../x", "/v1/models HTTP/1.1\r\nX: y",
		"*", "/v1/a\x00b"} {
		list = append(list, []string{":method", "GET", ":scheme", "https", ":authority", "127.0.0.1", ":path", path,
			"x-relay-token", canaryToken})
	}
	for _, method := range []string{"", "GET ", "GET /v1/x HTTP/1.1\r\n", "G\x00T", "CONNECT", "PRI", "get"} {
		list = append(list, []string{":method", method, ":scheme", "https", ":authority", "127.0.0.1", ":path",
			"/v1/models", "x-relay-token", canaryToken})
	}
	for _, pairs := range list {
		c := r.dialHTTP2()
		_ = c.write(frameHeaders, flagEndHeaders|flagEndStream, 1, fields(pairs...)...)
		if status, err := c.status(1); err == nil &&
			(status < 400 || status >= 500 && status != http.StatusNotImplemented) {
			r.Errorf("%q: got %d, want an error", pairs, status)
		}
		c.Close()
	}
	r.wantUpstream(0)
	// What is forwarded keeps its meaning: no wrong length, no other host, and no
	// character that ends a path.
	for _, pairs := range [][]string{
		honest("content-length", "2"), honest("content-length", "x"),
		honest("content-length", "0", "content-length", "1"),
		{":method", "POST", ":scheme", "https", ":authority", "127.0.0.1", ":path", "http://evil.example" + chatPath,
			"x-relay-token", canaryToken},
		{":method", "POST", ":scheme", "https", ":authority", "127.0.0.1", ":path", chatPath + " b", "x-relay-token",
			canaryToken},
	} {
		c := r.dialHTTP2()
		_ = c.write(frameHeaders, flagEndHeaders|flagEndStream, 1, fields(pairs...)...)
		_, _ = c.status(1)
		c.Close()
	}
	for _, req := range r.Requests() {
		if len(req.Body) > 0 || req.ContentLength > 0 || "http://"+req.Host != r.URL || req.RequestURI != chatPath &&
			req.RequestURI != chatPath+"%20b" {
			r.Errorf("upstream saw %s for %s with %d bytes of %d", req.RequestURI, req.Host, len(req.Body),
				req.ContentLength)
		}
	}
	r.Reset()
	// A valid request in the same way, so that the others were refused for their
	// fields.
	c := r.dialHTTP2()
	_ = c.write(frameHeaders, flagEndHeaders, 1, fields(honest("content-length", strconv.Itoa(len(chat)))...)...)
	_ = c.write(frameData, flagEndStream, 1, []byte(chat)...)
	if status, err := c.status(1); status != 200 || err != nil {
		r.Errorf("an honest request: %d %v", status, err)
	}
	c.Close()
	r.wantUpstream(1)
	r.Reset()
	return len(list)
}

// status returns the status of the response to a stream, which may be in Huffman
// code. An error means that the stream or the connection was ended.
func (c *http2Conn) status(stream uint32) (int, error) {
	for {
		f, err := c.read()
		switch {
		case err != nil:
			return 0, err
		case f.kind == frameGoAway && (len(f.payload) < 8 || binary.BigEndian.Uint32(f.payload) < stream ||
			binary.BigEndian.Uint32(f.payload[4:]) != 0):
			return 0, io.EOF
		case f.kind == frameRSTStream && f.stream == stream:
			return 0, io.ErrUnexpectedEOF
		case f.kind == frameHeaders && f.stream == stream:
			return decodeStatus(f.payload)
		}
	}
}

// indexed are the statuses in HPACK's static table (RFC 7541, appendix A).
var indexed = map[byte]int{0x88: 200, 0x89: 204, 0x8a: 206, 0x8b: 304, 0x8c: 400, 0x8d: 404, 0x8e: 500}

// decodeStatus returns the status, which is a header's first field.
func decodeStatus(b []byte) (int, error) {
	if len(b) > 0 && indexed[b[0]] != 0 {
		return indexed[b[0]], nil
	}
	// A literal of the name 8, :status, whose digits have Huffman codes of five
	// and six bits (appendix B).
	if len(b) < 3 || b[0]&0x3f != 8 && b[0]&0x0f != 8 {
		return 0, fmt.Errorf("no status: %x", b)
	}
	n := int(b[1] & 0x7f)
	if len(b) < 2+n {
		return 0, fmt.Errorf("no status: %x", b)
	}
	value := b[2 : 2+n]
	if b[1]&0x80 == 0 {
		return strconv.Atoi(string(value))
	}
	var bits, status int
	var have uint
	for _, x := range value {
		bits, have = bits<<8|int(x), have+8
	}
	for digits := 0; digits < 3; digits++ {
		if five := bits >> (have - 5) & 31; five < 3 {
			status, have = 10*status+five, have-5
		} else {
			status, have = 10*status+(bits>>(have-6)&63)-0x19+3, have-6
		}
	}
	return status, nil
}

// h2spec is the newest version that module proxies have in full.
const h2spec = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"

var h2specTotal = regexp.MustCompile(`(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed`)

// h2spec runs a conformance test of HTTP/2 (RFC 7540) and returns its result.
func (r *rig) h2spec() string {
	r.Helper()
	host, port, _ := net.SplitHostPort(strings.TrimPrefix(r.base, "https://"))
	cmd := exec.CommandContext(r.Context(), "go", "run", h2spec, "-h", host, "-p", port, "-t", "-k", "-P",
		"/relay/health")
	cmd.Dir = r.TempDir() // outside of this module
	out, err := cmd.CombinedOutput()
	m := h2specTotal.FindStringSubmatch(string(out))
	if m == nil {
		r.Errorf("h2spec: %v: %s", err, out)
		return ""
	}
	total, _ := strconv.Atoi(m[1])
	passed, _ := strconv.Atoi(m[2])
	if total-passed > 5 {
		r.Errorf("h2spec: %s", out)
	}
	return fmt.Sprintf("h2spec %d of %d", passed, total)
}
