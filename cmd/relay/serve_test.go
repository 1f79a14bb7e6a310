package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/relay/core"
	"example.com/relay/internal/contract"
	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/proc"
)

const (
	serveKey   = "sk-CANARY-serve"
	serveToken = "CANARY-serve-token"
)

// A served is a running relay serve.
type served struct {
	base   string // without /v1
	stdout *proc.Buffer
	stderr *proc.Buffer
	stop   context.CancelFunc
	exit   chan int
}

// startServe runs relay serve with environ until the test ends.
func startServe(t *testing.T, environ []string, args ...string) *served {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	s := &served{stdout: new(proc.Buffer), stderr: new(proc.Buffer), stop: stop, exit: make(chan int, 1)}
	r, w := io.Pipe()
	go func() {
		s.exit <- run(ctx, append([]string{"serve", "-listen", "127.0.0.1:0"}, args...), environ,
			io.MultiWriter(s.stdout, w), s.stderr)
		w.Close()
	}()
	lines := bufio.NewScanner(r)
	for s.base == "" && lines.Scan() {
		if base, ok := strings.CutPrefix(lines.Text(), "base URL: "); ok {
			s.base = strings.TrimSuffix(base, "/v1")
		}
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	if s.base == "" {
		t.Fatalf("no base URL in %q, %q", s.stdout, s.stderr)
	}
	t.Cleanup(func() {
		stop()
		if status := <-s.exit; status != exitOK {
			t.Errorf("exit status %d", status)
		}
	})
	return s
}

func TestServeIsAnAdapter(t *testing.T) {
	contract.TestAdapter(t, func(t *testing.T, environ []string) string {
		return startServe(t, append(environ, "RELAY_LOG_LEVEL=off")).base
	}, contract.As("local server"),
		contract.Without(contract.Misconfigured, "it refuses to start, which its user notices at once"))
}

func TestServeGreets(t *testing.T) {
	u := fakeopenai.StartUpstream(t)
	s := startServe(t, []string{"RELAY_UPSTREAMS=" + u.URL, "RELAY_ACCESS_TOKENS=" + serveToken})
	for _, want := range []string{
		u.URL, "access token required", "base URL: " + s.base + "/v1\n", "page:     " + s.base + "/\n",
		"curl -N " + s.base + "/v1/chat/completions", "rt_$TOKEN.$OPENAI_API_KEY",
	} {
		if !strings.Contains(s.stdout.String(), want) {
			t.Errorf("no %q in:\n%s", want, s.stdout)
		}
	}
	if strings.Contains(s.stdout.String()+s.stderr.String(), serveToken) {
		t.Error("the token is printed")
	}
}

func TestServeBadSettings(t *testing.T) {
	var stdout, stderr bytes.Buffer
	environ := []string{
		"RELAY_API_KEY=" + serveKey, "RELAY_NONSENSE=" + serveToken, "RELAY_IDLE_TIMEOUT=" + serveToken,
	}
	status := run(t.Context(), nil, environ, &stdout, &stderr)
	if status != exitUsage {
		t.Errorf("exit status %d, want %d", status, exitUsage)
	}
	for _, want := range []string{"RELAY_API_KEY", "RELAY_NONSENSE", "RELAY_IDLE_TIMEOUT"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("%q is not in %q", want, stderr.String())
		}
	}
	if got := stdout.String() + stderr.String(); strings.Contains(got, "CANARY") || strings.Count(got, "\n") != 1 {
		t.Errorf("printed %q", got)
	}
}

func TestServeUsage(t *testing.T) {
	tests := []struct {
		args   []string
		status int
		out    string
	}{
		{[]string{"-version"}, exitOK, "relay "},
		{[]string{"serve", "-version"}, exitOK, "relay "},
		{[]string{"version"}, exitOK, "relay " + core.Version + "\n"},
		{[]string{"-h"}, exitOK, "RELAY_UPSTREAMS"},
		{[]string{"help"}, exitOK, "RELAY_UPSTREAMS"},
		{[]string{"serve", "extra"}, exitUsage, "settings come from"},
		{[]string{"-nonsense"}, exitUsage, "nonsense"},
		{[]string{"brew"}, exitUsage, "serve, check, health, token or version"},
		{[]string{"-listen", "127.0.0.1:x"}, exitError, "cannot listen"},
		{[]string{"-listen", "127.0.0.1"}, exitError, "cannot listen"},
	}
	for _, test := range tests {
		var out bytes.Buffer
		if status := run(t.Context(), test.args, nil, &out, &out); status != test.status ||
			!strings.Contains(out.String(), test.out) {
			t.Errorf("relay %q: status %d, %q; want %d, %q", test.args, status, out.String(), test.status, test.out)
		}
	}
}

func TestServeHelpShowsTheSettings(t *testing.T) {
	var stdout, stderr proc.Buffer
	if status := run(t.Context(), []string{"serve", "-h"}, nil, &stdout, &stderr); status != exitOK {
		t.Errorf("exit status %d", status)
	}
	for _, s := range core.Settings() {
		want := "  " + s.Name + "\n    \t" + strings.ReplaceAll(s.Usage, "`", "")
		if s.Default != "" {
			want += " (default " + s.Default + ")"
		}
		if !strings.Contains(stderr.String(), want+"\n") {
			t.Errorf("relay serve -h does not print %q", want)
		}
	}
}

func TestServeRefusesRebinding(t *testing.T) {
	u := fakeopenai.StartUpstream(t)
	for _, test := range []struct {
		host, allowed string
		want          int
	}{
		{"evil.example", "", 403}, {"localhost:8787", "", 200}, {"127.0.0.1", "", 200},
		{"host.docker.internal:8787", "", 200},
		{"evil.example", "*", 200}, {"my.example", "my.example", 200}, {"localhost", "my.example", 200},
		{"127.0.0.1:80", "MY.example", 200}, {"my.example.", "MY.example", 200}, {"evil.example", "my.example", 403},
	} {
		s := startServe(t, []string{"RELAY_UPSTREAMS=" + u.URL, "RELAY_ALLOWED_HOSTS=" + test.allowed})
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.base+"/v1/models", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = test.host
		req.Header.Set("Authorization", "Bearer "+serveKey)
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != test.want {
			t.Errorf("Host %q, allowed %q: status %d, want %d", test.host, test.allowed, res.StatusCode, test.want)
		}
	}
}

// stream begins a streamed chat and returns what follows its first event.
func stream(t *testing.T, base, fault string) *bufio.Reader {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", base+"/v1/chat/completions",
		strings.NewReader(`{"model":"m","stream":true,"messages":[{"role":"user","content":"hello"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+serveKey)
	req.Header.Set("Fake-Fault", fault)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	r := bufio.NewReader(res.Body)
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestServeDrains(t *testing.T) {
	u := fakeopenai.StartUpstream(t)
	s := startServe(t, []string{"RELAY_UPSTREAMS=" + u.URL})
	r := stream(t, s.base, "gap=20ms")
	s.stop()
	body, err := io.ReadAll(r)
	if err != nil || !strings.HasSuffix(string(body), "data: [DONE]\n\n") {
		t.Errorf("the stream in flight got %q, %v", body, err)
	}
	if status := <-s.exit; status != exitOK {
		t.Errorf("exit status %d", status)
	}
	s.exit <- exitOK // for the cleanup
	if _, err := http.Get(s.base + "/relay/health"); err == nil {
		t.Error("a stopped relay responds")
	}
}

// Streams that outlast the drain are ended with an error event.
func TestServeCutsStreamsAfterDrainTimeout(t *testing.T) {
	u := fakeopenai.StartUpstream(t)
	s := startServe(t, []string{"RELAY_UPSTREAMS=" + u.URL, "RELAY_DRAIN_TIMEOUT=100ms"})
	r := stream(t, s.base, "silence=2")
	s.stop()
	if body, err := io.ReadAll(r); err == nil || !strings.Contains(string(body), `"code":"relay_shutdown"`) {
		t.Errorf("a stream that outlasts drainTimeout got %q, %v", body, err)
	}
	if status := <-s.exit; status != exitOK {
		t.Errorf("exit status %d", status)
	}
	s.exit <- exitOK
}

// The drain is shorter than the 10 seconds of docker stop, and both it and the time of
// idle connections are settings.
func TestServeTimeoutsOfConnections(t *testing.T) {
	if defaultDrainTimeout+time.Second >= 10*time.Second || defaultIdleConnectionTimeout <= 2*time.Minute {
		t.Errorf("defaults: drain %v, idle connections %v", defaultDrainTimeout, defaultIdleConnectionTimeout)
	}
	u := fakeopenai.StartUpstream(t)
	for _, test := range []struct {
		setting string
		closes  bool
	}{{"", false}, {"off", false}, {"50ms", true}} {
		s := startServe(t, []string{"RELAY_UPSTREAMS=" + u.URL, "RELAY_LOG_LEVEL=off",
			"RELAY_IDLE_CONNECTION_TIMEOUT=" + test.setting})
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "GET /relay/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
		r := bufio.NewReader(conn)
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		wait := 300 * time.Millisecond
		if test.closes {
			wait = 10 * time.Second
		}
		_ = conn.SetReadDeadline(time.Now().Add(wait))
		if _, err := r.ReadByte(); (err == io.EOF) != test.closes {
			t.Errorf("%q: %v, want it closed: %t", test.setting, err, test.closes)
		}
	}
}

// One signal drains the process, a second one ends it.
func TestServeSignals(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the command")
	}
	u := fakeopenai.StartUpstream(t)
	for _, signals := range []int{1, 2} {
		environ := []string{"RELAY_UPSTREAMS=" + u.URL, "RELAY_LOG_LEVEL=off"}
		p, err := proc.Start(proc.Options{Env: environ}, program.Path(t), "-listen", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Kill)
		base, err := p.Await(t.Context(), "base URL: ")
		if err != nil {
			t.Fatal(err)
		}
		fault := "gap=10ms"
		if signals == 2 {
			fault = "silence=2" // would last for the whole drain
		}
		r := stream(t, strings.TrimSuffix(base, "/v1"), fault)
		first := syscall.SIGTERM
		if signals == 1 && !signal.Ignored(syscall.SIGHUP) { // as by nohup, of which the relay is a child
			first = syscall.SIGHUP
		}
		_ = p.Signal(first)
		if _, err := p.Await(t.Context(), "relay: stopping"); err != nil {
			t.Error(err)
		}
		if signals == 2 {
			_ = p.Signal(syscall.SIGTERM)
		}
		body, err := io.ReadAll(r)
		if complete := strings.HasSuffix(string(body), "data: [DONE]\n\n") && err == nil; complete != (signals == 1) {
			t.Errorf("%d signals: the stream got %q, %v", signals, body, err)
		}
		if code := p.ExitCode(); (code == 0) != (signals == 1) {
			t.Errorf("%d signals: exit code %d", signals, code)
		}
	}
}

// program is this command as a program.
var program = proc.NewProgram("relay", proc.GoBuild("."))

func TestMain(m *testing.M) { os.Exit(proc.Main(m, program)) }

// A log reader that exits does not end the relay, the proxy is printed without its
// password, and SIGHUP stays ignored if it was ignored at the start.
func TestServeProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the command")
	}
	u := fakeopenai.StartUpstream(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	const script = `trap "" HUP; exec "$0" "$@"`
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script, program.Path(t), "-listen", "127.0.0.1:0")
	cmd.Env = []string{
		"RELAY_UPSTREAMS=" + u.URL + "#a,https://relay.example#b", "HTTPS_PROXY=http://user:CANARY@127.0.0.1:9",
	}
	cmd.Stderr = w
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	w.Close()
	r.Close() // before the first line of the log
	var base, printed string
	for lines := bufio.NewScanner(stdout); !strings.Contains(printed, "try it:") && lines.Scan(); {
		printed += lines.Text() + "\n"
		if url, ok := strings.CutPrefix(lines.Text(), "base URL: "); ok {
			base = url
		}
	}
	if !strings.Contains(printed, "\nproxy:    http://127.0.0.1:9\n") || strings.Contains(printed, "CANARY") {
		t.Errorf("printed %q, want the proxy without its password", printed)
	}
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		res, err := http.Get(base + "/models")
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		res.Body.Close()
	}
}
