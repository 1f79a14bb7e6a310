package core

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

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
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+
			string(body))
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
				return // closed without a response, on a reused connection
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
