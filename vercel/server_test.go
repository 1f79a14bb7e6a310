package main

import (
	"bytes"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"example.com/relay/internal/contract"
	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/proc"
	"example.com/relay/internal/vercelbuild"
)

// program is the server, built as Vercel builds it.
var program = proc.NewProgram("user-server", proc.GoBuild("-ldflags", "-s -w", "."))

func TestMain(m *testing.M) {
	status := proc.Main(m, program)
	vercelbuild.Clean()
	os.Exit(status)
}

// A process is a running server.
type process struct {
	*proc.Process
	url string
	log proc.Buffer // everything that it wrote
}

// start starts the server with environ on a free port, waits until it listens,
// and kills it when the test ends.
func start(t *testing.T, environ []string) *process {
	t.Helper()
	p := new(process)
	running, addr, err := proc.Serve(t.Context(), proc.Options{
		Bare: true, Env: append([]string{"RELAY_LOG_LEVEL=off"}, environ...), Log: &p.log, Out: &p.log,
	}, program.Path(t))
	if err != nil {
		t.Fatal(err)
	}
	p.Process, p.url = running, "http://"+addr
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("what the server wrote:\n%s", &p.log)
		}
	})
	return p
}

func TestServerIsAnAdapter(t *testing.T) {
	contract.TestAdapter(t, func(t *testing.T, environ []string) string { return start(t, environ).url })
}

// chat returns a request for a chat at base.
func chat(t *testing.T, base, fault string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", base+"/v1/chat/completions",
		strings.NewReader(`{"model":"m","stream":true,"messages":[{"role":"user","content":"hello"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sk-test")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Fake-Fault", fault)
	return req
}

// Without PORT the program fails, and the error names the variable.
func TestPortIsNeeded(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), program.Path(t))
	cmd.Env = []string{}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "PORT is not set") {
		t.Errorf("got %v %q", err, out)
	}
}

// On SIGTERM a stream in flight is finished, and the process exits.
func TestDrain(t *testing.T) {
	u := fakeopenai.StartUpstream(t)
	p := start(t, []string{"RELAY_UPSTREAMS=" + u.URL})
	res, err := http.DefaultTransport.RoundTrip(chat(t, p.url, "gap=100ms"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(res.Body); err != nil || !strings.Contains(body.String(), "[DONE]") {
		t.Errorf("the stream ends with %v: %q", err, body.String())
	}
	if code := p.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// What clients send to net/http is not logged.
func TestNothingSentIsLogged(t *testing.T) {
	p := start(t, []string{"RELAY_LOG_LEVEL=debug"})
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = conn.Write([]byte("GET /CANARY HTTP/1.1\r\nHost: a\r\nCANARY: \x00\r\n\r\n"))
	var response bytes.Buffer
	_, _ = response.ReadFrom(conn)
	if !strings.HasPrefix(response.String(), "HTTP/1.1 400") || strings.Contains(p.log.String(), "CANARY") {
		t.Errorf("response %q, log %q", response.String(), p.log.String())
	}
}
