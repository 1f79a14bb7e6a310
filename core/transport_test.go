package core

import (
	"bufio"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestThaw(t *testing.T) {
	now := time.Unix(1000, 0)
	th := newThawingTransport(Config{})
	th.now = func() time.Time { return now }
	made := 0
	th.make = func() *http.Transport {
		made++
		return &http.Transport{}
	}
	steps := []struct {
		pass time.Duration
		end  bool
		want int
	}{
		{0, false, 0},
		{19 * time.Second, false, 0},
		{21 * time.Second, false, 1}, // frozen
		{time.Hour, true, 1},         // a long stream ends
		{time.Second, false, 1},
		{-time.Hour, false, 2}, // the clock was set back
		{time.Second, false, 2},
	}
	for i, step := range steps {
		now = now.Add(step.pass)
		if step.end {
			th.touch()
		} else if _, err := th.RoundTrip(&http.Request{URL: mustURL(t, "bad://x")}); err == nil {
			t.Fatal("a bad URL was sent")
		}
		if made != step.want {
			t.Errorf("step %d: %d new transports, want %d", i, made, step.want)
		}
	}
}

// A scriptedUpstream is a TCP server that serves each connection by a function.
func scriptedUpstream(t *testing.T, serve func(conn *net.TCPConn, n int)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		wait.Wait()
	})
	wait.Go(func() {
		for n := 0; ; n++ {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wait.Go(func() {
				defer conn.Close()
				serve(conn.(*net.TCPConn), n)
			})
		}
	})
	return "http://" + ln.Addr().String()
}

// After a freeze the upstream has closed the pooled connections, and the relay
// does not know yet. No POST may fail by that.
func TestNoRequestFailsAfterAFreeze(t *testing.T) {
	var served atomic.Int32
	upstream := scriptedUpstream(t, func(conn *net.TCPConn, _ int) {
		req, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		served.Add(1)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		_, _ = conn.Read(make([]byte, 1)) // a second request, or the end
		_ = conn.SetLinger(0)             // a reset on reuse
	})
	f := &front{log: new(lockedBuffer)}
	var clock atomic.Int64
	f.start(t, upstream, nil)
	f.relay.exchange.transport.(*thawingTransport).now = func() time.Time { return time.Unix(clock.Load(), 0) }
	for range 100 {
		clock.Add(31)
		if res, body := send(t, "POST", f.URL+"/v1/chat/completions", "{}"); res.StatusCode != 200 || body != "ok" {
			t.Fatalf("got %d %s", res.StatusCode, body)
		}
	}
	if n := served.Load(); n != 100 {
		t.Errorf("upstream served %d requests, want 100", n)
	}
}

// An upstream that closes its idle connections, as all do some time, costs no
// request, whether or not net/http has noticed yet.
func TestNoRequestFailsByAClosedIdleConnection(t *testing.T) {
	closed := make(chan bool, 1)
	var served atomic.Int32
	upstream := scriptedUpstream(t, func(conn *net.TCPConn, _ int) {
		req, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		body, _ := io.ReadAll(req.Body)
		served.Add(1)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+string(body))
		conn.Close()
		closed <- true
	})
	f := &front{log: new(lockedBuffer)}
	f.start(t, upstream, nil)
	for i := range 300 {
		sent := strings.Repeat("x", i*37)
		if res, body := send(t, "POST", f.URL+"/v1/chat/completions", sent); res.StatusCode != 200 || body != sent {
			t.Fatalf("request %d: got %d %.200s", i, res.StatusCode, body)
		}
		receive(t, closed, "the upstream to close")
	}
	if n := served.Load(); n != 300 {
		t.Errorf("upstream served %d requests, want 300", n)
	}
}

// A POST is not sent twice when the upstream may have seen it, whatever
// idempotency header the client sends.
func TestAmbiguousPostIsNotSentTwice(t *testing.T) {
	var requests atomic.Int32
	upstream := scriptedUpstream(t, func(conn *net.TCPConn, n int) {
		r := bufio.NewReader(conn)
		for i := 0; ; i++ {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			requests.Add(1)
			if i == 1 {
				return // closed without an answer, on a reused connection
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	f := &front{log: new(lockedBuffer)}
	f.start(t, upstream, nil)
	send(t, "POST", f.URL+"/v1/chat/completions", "{}", "Idempotency-Key", "k", "X-Idempotency-Key", "k")
	res, body := send(t, "POST", f.URL+"/v1/chat/completions", "{}", "Idempotency-Key", "k", "X-Idempotency-Key", "k")
	wantError(t, res, body, errReset)
	if n := requests.Load(); n != 2 {
		t.Errorf("upstream saw %d requests, want 2", n)
	}
}

func TestReplayBody(t *testing.T) {
	body := func(src io.Reader, length int64) *replayBody {
		return newReplayBody(&http.Request{Body: io.NopCloser(src), ContentLength: length})
	}
	t.Run("none", func(t *testing.T) {
		b := newReplayBody(&http.Request{Body: http.NoBody})
		if b != nil || !b.done() || b.failure() != nil {
			t.Error("a request without a body has one")
		}
		b.close(http.NewResponseController(nil))
	})
	t.Run("again from the middle", func(t *testing.T) {
		b := body(strings.NewReader("hello world"), 11)
		first := b.open()
		_, _ = io.ReadFull(first, make([]byte, 5))
		if b.done() {
			t.Error("done before the end")
		}
		again, err := b.reopen()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(again); string(got) != "hello world" || err != nil || !b.done() {
			t.Errorf("got %q %v, done %t", got, err, b.done())
		}
		if _, err := first.Read(make([]byte, 1)); !errors.Is(err, errBodyClosed) {
			t.Errorf("the first reader still reads: %v", err)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
		if _, err := again.Read(make([]byte, 1)); !errors.Is(err, errBodyClosed) {
			t.Errorf("a closed reader still reads: %v", err)
		}
	})
	t.Run("too large to be kept", func(t *testing.T) {
		b := body(strings.NewReader(strings.Repeat("x", maxReplay+1)), -1)
		if got, err := io.ReadAll(b.open()); len(got) != maxReplay+1 || err != nil {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
		if _, err := b.reopen(); !errors.Is(err, errReplayLimit) {
			t.Errorf("reopen: %v", err)
		}
	})
	t.Run("broken", func(t *testing.T) {
		b := body(errReader{errBodyIncomplete}, 3)
		if _, err := io.ReadAll(b.open()); !errors.Is(err, errBodyIncomplete) || !errors.Is(b.failure(), errBodyIncomplete) || b.done() {
			t.Errorf("%v, failure %v", err, b.failure())
		}
	})
	t.Run("after the exchange", func(t *testing.T) {
		b := body(strings.NewReader("late"), 4)
		r := b.open()
		b.close(http.NewResponseController(nil))
		if n, err := r.Read(make([]byte, 4)); n != 0 || !errors.Is(err, errBodyClosed) {
			t.Errorf("read %d bytes, %v", n, err)
		}
	})
}

// Over TLS, the upstream's farewell stands unread before the end of a closed
// connection.
func TestNoRequestFailsByAClosedTLSConnection(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems cannot look behind the farewell")
	}
	upstream := httptest.NewTLSServer(http.HandlerFunc(echo))
	defer upstream.Close()
	transport := newTransport(Config{Platform: Platform{SingleRequest: true}})
	transport.TLSClientConfig.RootCAs = x509.NewCertPool()
	transport.TLSClientConfig.RootCAs.AddCert(upstream.Certificate())
	f := &front{log: new(lockedBuffer)}
	f.start(t, upstream.URL, func(cfg *Config) { cfg.Transport = transport })
	defer transport.CloseIdleConnections()
	for i := range 200 {
		if res, body := send(t, "POST", f.URL+"/v1/chat/completions", "hello"); res.StatusCode != 200 || body != "hello" {
			t.Fatalf("request %d: got %d %.200s", i, res.StatusCode, body)
		}
		upstream.CloseClientConnections()
	}
}
