package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/relay/internal/fakeopenai"
)

// An activated is a relay that was started as systemd starts it: with a socket to
// listen on and one to notify.
type activated struct {
	cmd    *exec.Cmd
	notify *net.UnixConn
}

// command returns the command of relay serve on ln.
func command(t *testing.T, ln *net.TCPListener, environ ...string) *exec.Cmd {
	t.Helper()
	socket, err := ln.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	// The shell knows the process's id, which LISTEN_PID must be.
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, program.Path(t))
	cmd.Env = append([]string{"RELAY_LOG_LEVEL=off", "LISTEN_FDS=1"}, environ...)
	cmd.ExtraFiles = []*os.File{socket}
	return cmd
}

// activate starts relay serve on ln.
func activate(t *testing.T, ln *net.TCPListener, environ ...string) *activated {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	cmd := command(t, ln, append(environ, "NOTIFY_SOCKET="+path)...)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	a := &activated{cmd, notify}
	t.Cleanup(func() {
		notify.Close()
		_ = cmd.Process.Kill()
	})
	a.wait(t, "READY=1")
	return a
}

// wait returns when the relay has reported state to its service manager.
func (a *activated) wait(t *testing.T, state string) {
	t.Helper()
	_ = a.notify.SetReadDeadline(time.Now().Add(20 * time.Second))
	b := make([]byte, 100)
	n, err := a.notify.Read(b)
	if err != nil || string(b[:n]) != state {
		t.Fatalf("the service manager got %q, %v; want %q", b[:n], err, state)
	}
}

// While one relay drains and another one starts on the same socket, streams finish
// and no connection is refused.
func TestRestartWithoutAnOutage(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the command")
	}
	u := fakeopenai.StartUpstream(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	base := "http://" + ln.Addr().String()
	first := activate(t, ln.(*net.TCPListener), "RELAY_UPSTREAMS="+u.URL)

	const streams = 50
	results := make(chan string, streams)
	for range streams {
		r := stream(t, base, "gap=100ms events=20")
		go func() { results <- rest(r) }()
	}
	ctx, stop := context.WithCancel(t.Context())
	requests := make(chan error, 1)
	go func() { requests <- keepConnecting(ctx, base) }()

	if err := first.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	first.wait(t, "STOPPING=1")
	second := activate(t, ln.(*net.TCPListener), "RELAY_UPSTREAMS="+u.URL)
	for range streams {
		if result := <-results; result != "" {
			t.Error(result)
		}
	}
	if err := first.cmd.Wait(); err != nil {
		t.Errorf("the first relay ends with %v", err)
	}
	stop()
	if err := <-requests; err != nil {
		t.Errorf("a request on a new connection failed: %v", err)
	}
	_ = second.cmd.Process.Signal(syscall.SIGTERM)
	if err := second.cmd.Wait(); err != nil {
		t.Errorf("the second relay ends with %v", err)
	}
}

// rest returns what is wrong with the rest of a stream, or "".
func rest(r *bufio.Reader) string {
	body, err := io.ReadAll(r)
	if err != nil || !strings.HasSuffix(string(body), "data: [DONE]\n\n") {
		return fmt.Sprintf("a stream got %q, %v", body, err)
	}
	return ""
}

// keepConnecting sends requests, each on a connection of its own, until ctx ends or
// one fails.
func keepConnecting(ctx context.Context, base string) error {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for ctx.Err() == nil {
		res, err := client.Get(base + "/relay/health")
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("got %s", res.Status)
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// Who may use the relay depends on where the socket listens, not on -listen.
func TestActivatedBeyondLoopback(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the command")
	}
	ln, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	out, err := command(t, ln.(*net.TCPListener)).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "RELAY_ALLOW_ANYONE=true") {
		t.Errorf("without tokens: %q, %v", out, err)
	}

	u := fakeopenai.StartUpstream(t)
	activate(t, ln.(*net.TCPListener), "RELAY_UPSTREAMS="+u.URL, "RELAY_ACCESS_TOKENS="+serveToken)
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	for host, want := range map[string]int{"relay.example": http.StatusOK, "127.0.0.1": http.StatusOK} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+"/v1/models", nil)
		req.Host = host
		req.Header.Set("Authorization", "Bearer rt_"+serveToken+"."+serveKey)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("Host %s: %s, want %d", host, res.Status, want)
		}
	}
}

// A socket on a loopback address has the names of one, whatever -listen says.
func TestActivatedOnLoopback(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the command")
	}
	u := fakeopenai.StartUpstream(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cmd := command(t, ln.(*net.TCPListener), "RELAY_UPSTREAMS="+u.URL)
	cmd.Args = append(cmd.Args, "-listen", "0.0.0.0:0")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	for host, want := range map[string]int{"evil.example": http.StatusForbidden, "localhost": http.StatusOK} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+ln.Addr().String()+"/relay/health",
			nil)
		req.Host = host
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("Host %s: %s, want %d", host, res.Status, want)
		}
	}
}

// Sockets for another process are not taken, nor more than one.
func TestListenFDs(t *testing.T) {
	if ln, err := passedSocket([]string{"LISTEN_FDS=1", "LISTEN_PID=1"}); ln != nil || err != nil {
		t.Errorf("the socket of another process: %v, %v", ln, err)
	}
	two := []string{"LISTEN_FDS=2", fmt.Sprintf("LISTEN_PID=%d", os.Getpid())}
	if ln, err := passedSocket(two); err == nil {
		ln.Close()
		t.Error("two sockets were taken")
	}
}
