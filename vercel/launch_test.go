//go:build linux

package main

import (
	"bufio"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// vercelAddr is where Vercel's proxy listens, wherever it runs.
const vercelAddr = "127.0.0.1:3000"

// lockPort waits until no other test on this machine uses the proxy's port,
// and skips the test if something else does.
func lockPort(t *testing.T) {
	t.Helper()
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), "relay-vercel-port-3000.lock"), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() }) // which unlocks
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", vercelAddr)
	if err != nil {
		t.Skipf("Vercel's proxy listens on %s and nowhere else, and something is there: %v", vercelAddr, err)
	}
	ln.Close()
}

// A launch is a function started as Vercel starts it.
type launch struct {
	ended chan struct{} // gets one for each request that the proxy says has ended
}

// launchFunction starts Vercel's proxy, which starts the server, and waits for
// it to answer. Both are killed when the test ends.
func launchFunction(t *testing.T, function string, environ []string) *launch {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "ipc")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	cmd := exec.Command("./executable")
	cmd.Dir = function
	cmd.Env = append([]string{"VERCEL_IPC_PATH=" + socket, "VERCEL=1", "VERCEL_REGION=iad1", "RELAY_LOG_LEVEL=off"}, environ...)
	// The proxy does not end the server when it ends: the group has both.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	l := &launch{ended: make(chan struct{}, 100)}
	started := make(chan struct{})
	go l.listen(ln, started)
	select {
	case <-started:
	case <-time.After(20 * time.Second):
		t.Fatal("Vercel's proxy does not say that the server has started")
	}
	waitListening(t, vercelAddr)
	return l
}

// listen takes the proxy's messages: JSON, each with a zero byte behind.
func (l *launch) listen(ln net.Listener, started chan struct{}) {
	conn, err := ln.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	once := sync.OnceFunc(func() { close(started) })
	for r := bufio.NewReader(conn); ; {
		message, err := r.ReadString(0)
		if err != nil {
			return
		}
		switch {
		case strings.Contains(message, `"type":"server-started"`):
			once()
		case strings.Contains(message, `"type":"end"`):
			l.ended <- struct{}{}
		}
	}
}

// edge stands in for what Vercel has in front of its proxy: it names each
// request to the proxy, adds some of Vercel's headers, and answers 502 where the
// function ends the connection without an answer. It returns its URL.
func edge(t *testing.T) string {
	t.Helper()
	function := &url.URL{Scheme: "http", Host: vercelAddr}
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		Transport:     transport,
		ErrorLog:      log.New(io.Discard, "", 0), // broken answers are meant
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(function)
			r.SetXForwarded()
			r.Out.URL.RawQuery = r.In.URL.RawQuery
			r.Out.Header.Set("X-Vercel-Internal-Invocation-Id", "invocation")
			r.Out.Header.Set("X-Vercel-Internal-Request-Id", "1")
			r.Out.Header.Set("X-Vercel-Oidc-Token", "token")
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		// Without it net/http may close the body while the proxy still reads it.
		_ = http.NewResponseController(w).EnableFullDuplex()
		proxy.ServeHTTP(w, req)
	}))
	server.Config.ErrorLog = proxy.ErrorLog
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}
