package core

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

// newLines serves a relay as the programs do which own their server.
func newLines(t *testing.T, change func(*Config)) (url string, f *front) {
	t.Helper()
	f = newFront(t, echo, change)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: f.relay, MaxHeaderBytes: 128 << 10, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	counted := f.relay.Listen(server, ln)
	go func() { ended <- server.Serve(counted) }()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
	return "http://" + ln.Addr().String(), f
}

func TestHeaderLines(t *testing.T) {
	url, f := newLines(t, func(cfg *Config) { cfg.AccessTokens = []Secret{canaryToken} })
	const begin = "POST /v1/files HTTP/1.1\r\nHost: h\r\n"
	for name, raw := range map[string]string{
		"short lines":       begin + strings.Repeat("a: b\r\n", 16_000) + "\r\n",
		"no value":          begin + strings.Repeat("a:\n", 31_000) + "\r\n",
		"one too many":      begin + strings.Repeat("a: b\r\n", 500) + "\r\n",
		"continuations":     begin + "a: b\r\n" + strings.Repeat(" c\r\n", 16_000) + "\r\n",
		"blank lines first": strings.Repeat("\r\n", 16_000) + begin + "\r\n",
		"lines of nothing":  begin + strings.Repeat("\r\r\n", 16_000),
	} {
		res, body := sendRaw(t, url, raw)
		if name == "blank lines first" && res.StatusCode == http.StatusBadRequest {
			continue // net/http does not care for them either
		}
		wantError(t, res, body, errHeadersTooLarge)
		if !res.Close {
			t.Errorf("%s: the connection is kept", name)
		}
	}
	f.untouched(t)
	// As many as may be, in pieces, and bodies of as many lines as they like, one
	// after the other.
	conn := dialRaw(t, url)
	r := bufio.NewReader(conn)
	for i := range 3 {
		body := strings.Repeat("\r\n\n", 5_000+i)
		request := begin + "X-Relay-Token: " + canaryToken + fmt.Sprintf("\r\nContent-Length: %d\r\n",
			len(body)) + strings.Repeat("a: b\r\n", 490) + "\r\n" + body
		for len(request) > 0 {
			n := min(len(request), 1_777)
			if _, err := io.WriteString(conn, request[:n]); err != nil {
				t.Fatal(err)
			}
			request = request[n:]
			runtime.Gosched()
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("request %d: %v %v", i, res, err)
		}
		if got, err := io.ReadAll(res.Body); err != nil || string(got) != body {
			t.Fatalf("request %d: echo of %d bytes, %v", i, len(got), err)
		}
	}
	if n := len(f.requests()); n != 3 {
		t.Errorf("upstream saw %d requests, want 3", n)
	}
}

// Where the server is another's, the relay counts what it is given.
func TestHeaderLinesOfOtherServers(t *testing.T) {
	f := newFront(t, ok, nil)
	for n, want := range map[int]int{400: 200, 501: 431} {
		res, body := sendRaw(t, f.URL, "GET /v1/models HTTP/1.1\r\nHost: h\r\n"+strings.Repeat("a: b\r\n", n)+"\r\n")
		if res.StatusCode != want {
			t.Errorf("%d lines: got %d %s", n, res.StatusCode, body)
		}
	}
}

// What depends on a TCP connection works behind the counting as before.
func TestCountedConnectionsAreTCP(t *testing.T) {
	cut := scriptedUpstream(t, func(conn *net.TCPConn, _ int) {
		_, _ = http.ReadRequest(bufio.NewReader(conn))
		_, _ = io.WriteString(conn,
			"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	})
	url, _ := newLines(t, func(cfg *Config) { cfg.Upstreams = []Secret{Secret(cut)} })
	conn := dialRaw(t, url)
	_, _ = io.WriteString(conn, "GET /v1/models HTTP/1.0\r\nHost: h\r\n\r\n")
	if body, err := io.ReadAll(conn); err == nil {
		t.Errorf("an HTTP/1.0 answer that broke off ended well: %q", body)
	}
}
