package lambdaemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// exits is a runtime that exits before it is ready.
func exits(context.Context, string) error { return errors.New("exited") }

// gate is where the processes of a test wait, if their request has its URL in the
// header Gate.
type gate struct {
	url     string
	arrived chan struct{}
	opened  chan struct{}
	open    func()
}

func newGate(t *testing.T) *gate {
	g := &gate{arrived: make(chan struct{}, 100), opened: make(chan struct{})}
	g.open = sync.OnceFunc(func() { close(g.opened) })
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		g.arrived <- struct{}{}
		<-g.opened
	}))
	g.url = server.URL
	t.Cleanup(func() {
		g.open()
		server.Close()
	})
	return g
}

func (g *gate) request(t *testing.T, url string) *http.Request {
	req := request(t, "GET", url, nil)
	req.Header.Set("Gate", g.url)
	return req
}

func TestProcessEnvironment(t *testing.T) {
	t.Setenv("INHERITED", "1")
	s := startBootstrap(t, Function{Env: map[string]string{"OWN": "value"}, MemoryMB: 256, Region: "eu-west-1",
		Name: "named"})
	_, body := get(t, s.URL+"/env")
	got := map[string]string{}
	for line := range strings.Lines(body) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		got[name] = value
	}
	want := map[string]string{
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
		"AWS_LAMBDA_FUNCTION_NAME":        "named",
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/named",
		"AWS_LAMBDA_LOG_STREAM_NAME":      got["AWS_LAMBDA_LOG_STREAM_NAME"],
		"AWS_LAMBDA_RUNTIME_API":          got["AWS_LAMBDA_RUNTIME_API"],
		"AWS_REGION":                      "eu-west-1",
		"LAMBDA_TASK_ROOT":                filepath.Dir(executable(t)),
		"OWN":                             "value",
		"TZ":                              ":UTC",
		"_HANDLER":                        "bootstrap",
		"GORACE":                          got["GORACE"],
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the process has %v, want %v", got, want)
	}
	if _, dir := get(t, s.URL+"/dir"); dir != filepath.Dir(executable(t)) {
		t.Errorf("it works in %s", dir)
	}
}

func TestScaleOut(t *testing.T) {
	g := newGate(t)
	s := startBootstrap(t, Function{Concurrency: 2})
	bodies := make(chan string, 2)
	for range 2 {
		go func() {
			_, body := complete(t, g.request(t, s.URL))
			bodies <- body
		}()
	}
	await(t, g.arrived, "the first event in a process")
	await(t, g.arrived, "the second")
	res, body := get(t, s.URL)
	if res.StatusCode != http.StatusTooManyRequests || body != `{"Message":"Rate Exceeded."}` ||
		res.Header.Get("X-Amzn-Errortype") != "TooManyRequestsException" {
		t.Errorf("a third request: %d %v %s", res.StatusCode, res.Header, body)
	}
	if pids := s.PIDs(); len(pids) != 2 {
		t.Errorf("processes %v, want 2", pids)
	}
	g.open()
	first, second := await(t, bodies, "a response"), await(t, bodies, "a response")
	if first == second {
		t.Errorf("process %s had two events at once", first)
	}
	for range 5 {
		if _, body := get(t, s.URL); body != first && body != second {
			t.Errorf("process %s responds, want one of the two idle ones", body)
		}
	}
	stats := s.Stats()
	if len(stats.Init) != 2 || slices.Min(stats.Init) <= 0 {
		t.Errorf("init durations %v", stats.Init)
	}
	stats.Init = nil
	if want := (Stats{Spawned: 2, Invocations: 7, Throttled: 1}); fmt.Sprint(stats) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", stats, want)
	}
}

func TestBusyUntilNext(t *testing.T) {
	back := make(chan struct{})
	s := Start(t, Function{Concurrency: 1, SettleTimeout: time.Nanosecond,
		Run: handle(func(ctx context.Context, c *client, e *event) {
			_, _ = c.respondJSON(ctx, e.id, "done")
			<-back
		})})
	if res, _ := get(t, s.URL); res.StatusCode != http.StatusOK {
		t.Errorf("got %d", res.StatusCode)
	}
	if res, _ := get(t, s.URL); res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("before next: got %d, want 429", res.StatusCode)
	}
	close(back)
}

// processState returns the letter in /proc that says what a process does.
func processState(t *testing.T, pid int) string {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return after[:1]
}

func TestFreeze(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	g := newGate(t)
	s := startBootstrap(t, Function{Freeze: true})
	for _, size := range []int{0, 10, 5 << 20, 0} {
		req := request(t, "POST", s.URL, strings.NewReader(strings.Repeat("a", size)))
		req.Header.Set("Content-Type", "text/plain")
		if res, body := complete(t, req); res.StatusCode != http.StatusOK || body != fmt.Sprint(s.PIDs()[0]) {
			t.Errorf("an event of %d bytes: %d %s", size, res.StatusCode, body)
		}
		for deadline := time.Now().Add(waitLimit); processState(t, s.PIDs()[0]) != "T"; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("the idle process is %s, want T", processState(t, s.PIDs()[0]))
			}
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		complete(t, g.request(t, s.URL))
	}()
	await(t, g.arrived, "the event in a process")
	if state := processState(t, s.PIDs()[0]); state == "T" {
		t.Error("the process is frozen while it works")
	}
	g.open()
	await(t, done, "the response")
	if stats := s.Stats(); stats.Spawned != 1 || stats.Invocations != 5 {
		t.Errorf("%+v, want one process and 5 invocations", stats)
	}
}

func TestProcessThatDies(t *testing.T) {
	for _, test := range []struct {
		start  string // BOOTSTRAP
		path   string
		stats  Stats
		inLogs string
	}{
		{"", "/exit", Stats{Spawned: 2, Crashed: 2, Invocations: 2},
			"about to exit\nlambdaemu: environment 1: the runtime exited: exit status 4\n"},
		{"", "/hang", Stats{Spawned: 2, TimedOut: 2, Invocations: 2}, "environment 1: task timed out after "},
		{"exit", "/", Stats{Spawned: 2, Crashed: 2}, "exit status 3"},
		{"init error", "/", Stats{Spawned: 2, Crashed: 2}, "the function reported"},
		{"hang", "/", Stats{Spawned: 2, Crashed: 2}, "did not initialize: not within"},
	} {
		t.Run(test.start+test.path, func(t *testing.T) {
			f := Function{Concurrency: 1, SettleTimeout: waitLimit, Env: map[string]string{"BOOTSTRAP": test.start}}
			if test.path == "/hang" {
				f.Timeout = 50 * time.Millisecond
			}
			if test.start == "hang" {
				f.InitTimeout = 50 * time.Millisecond
			}
			s := startBootstrap(t, f)
			for range 2 { // the second in another process, though only one may run at a time
				res, body := get(t, s.URL+test.path)
				if res.StatusCode != http.StatusBadGateway || body != "Internal Server Error" {
					t.Errorf("got %d %q, want 502", res.StatusCode, body)
				}
			}
			s.Close() // and with it all is counted
			stats := s.Stats()
			stats.Init = nil
			if fmt.Sprint(stats) != fmt.Sprint(test.stats) {
				t.Errorf("%+v, want %+v", stats, test.stats)
			}
			for line := range strings.Lines(test.inLogs) { // two sides write them, in any order
				if !strings.Contains(s.Logs(), line) {
					t.Errorf("the logs lack %q:\n%s", line, s.Logs())
				}
			}
		})
	}
}

func TestNoSuchBootstrap(t *testing.T) {
	s := Start(t, Function{Bootstrap: filepath.Join(t.TempDir(), "bootstrap")})
	if res, _ := get(t, s.URL); res.StatusCode != http.StatusBadGateway {
		t.Errorf("got %d, want 502", res.StatusCode)
	}
}

func TestProcessThatDiesInTheMiddle(t *testing.T) {
	for _, test := range []struct {
		path    string
		cut     Cut
		timeout time.Duration // long enough for a slow machine to begin a response
	}{
		{"/stream-exit", CutBroken, 0},
		{"/stream-exit", CutClean, 0},
		{"/stream-hang", CutBroken, 2 * time.Second},
	} {
		g := newGate(t)
		s := startBootstrap(t, Function{Mode: ResponseStream, Cut: test.cut, Timeout: test.timeout, Concurrency: 1,
			SettleTimeout: waitLimit})
		res := roundTrip(t, g.request(t, s.URL+test.path))
		first := make([]byte, 5)
		if _, err := io.ReadFull(res.Body, first); string(first) != "first" || err != nil {
			t.Errorf("%s: %q, %v", test.path, first, err)
		}
		g.open()
		rest, err := io.ReadAll(res.Body)
		if len(rest) > 0 || (err == nil) != (test.cut == CutClean) {
			t.Errorf("%s, %s: then %q, %v", test.path, test.cut, rest, err)
		}
		if res, _ := get(t, s.URL); res.StatusCode != http.StatusOK {
			t.Errorf("%s: the next request: %d", test.path, res.StatusCode)
		}
		if stats := s.Stats(); stats.Crashed+stats.TimedOut != 1 || stats.Spawned != 2 {
			t.Errorf("%s: %+v", test.path, stats)
		}
	}
}

func TestExitAfterAResponse(t *testing.T) {
	s := startBootstrap(t, Function{Concurrency: 1, SettleTimeout: waitLimit})
	for range 3 {
		if res, body := get(t, s.URL+"/exit-after"); res.StatusCode != http.StatusOK || body != `"done"` {
			t.Errorf("got %d %q", res.StatusCode, body)
		}
	}
	get(t, s.URL) // waits until the last one has exited
	if stats := s.Stats(); stats.Crashed != 3 {
		t.Errorf("%+v, want 3 crashed", stats)
	}
}

func TestShutdown(t *testing.T) {
	for _, test := range []struct {
		start  string
		freeze bool
		heard  bool
	}{
		{"", false, false}, // without an extension there is only SIGKILL
		{"sigterm", false, true},
		{"sigterm", true, true},
	} {
		s := startBootstrap(t, Function{Freeze: test.freeze, Env: map[string]string{"BOOTSTRAP": test.start}})
		get(t, s.URL)
		s.Close()
		if heard := strings.Contains(s.Logs(), "got SIGTERM"); heard != test.heard {
			t.Errorf("%+v: the process heard SIGTERM: %t\n%s", test, heard, s.Logs())
		}
		if stats := s.Stats(); stats.Crashed != 0 || len(s.PIDs()) != 0 {
			t.Errorf("%+v: %+v, processes %v", test, stats, s.PIDs())
		}
	}
}

func TestCloseAbortsRequests(t *testing.T) {
	g := newGate(t)
	s := startBootstrap(t, Function{})
	failed := make(chan error, 1)
	go func() {
		_, err := http.DefaultTransport.RoundTrip(g.request(t, s.URL))
		failed <- err
	}()
	await(t, g.arrived, "the event in a process")
	s.Close()
	if err := await(t, failed, "the request"); err == nil {
		t.Error("the request succeeded, want it aborted")
	}
	s.Close()
}

// TestMain runs the tests, or the bootstrap of a function.
func TestMain(m *testing.M) {
	if api := os.Getenv("AWS_LAMBDA_RUNTIME_API"); api != "" {
		bootstrap(api)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// bootstrap is the process that the tests run: this binary again. It does what
// the path of each event says, and env BOOTSTRAP says what it does before.
func bootstrap(api string) {
	ctx, c := context.Background(), newClient(api)
	switch os.Getenv("BOOTSTRAP") {
	case "exit":
		os.Exit(3)
	case "init error":
		_, _ = c.post(ctx, "/2018-06-01/runtime/init/error", strings.NewReader(`{"errorType":"Broken"}`))
		select {}
	case "hang":
		select {}
	case "sigterm":
		_, _ = c.post(ctx, "/2020-01-01/extension/register", strings.NewReader(`{"events":[]}`),
			"Lambda-Extension-Name", "test")
		terminated := make(chan os.Signal, 1)
		signal.Notify(terminated, syscall.SIGTERM)
		go func() {
			<-terminated
			fmt.Println("got SIGTERM")
			os.Exit(0)
		}()
	}
	for {
		e, err := c.next(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		work(ctx, c, e)
	}
}

func work(ctx context.Context, c *client, e *event) {
	switch e.fields.RawPath {
	case "/env":
		_, _ = c.respondJSON(ctx, e.id, map[string]any{"statusCode": 200, "body": strings.Join(os.Environ(), "\n")})
	case "/dir":
		dir, _ := os.Getwd()
		_, _ = c.respondJSON(ctx, e.id, map[string]any{"statusCode": 200, "body": dir})
	case "/exit":
		fmt.Println("about to exit")
		os.Exit(4)
	case "/exit-after":
		_, _ = c.respondJSON(ctx, e.id, "done")
		os.Exit(5)
	case "/hang":
		select {}
	case "/stream-exit", "/stream-hang":
		_, _ = c.respondStream(ctx, e.id, `{"statusCode":200}`, &gatedReader{first: "first", then: func() {
			wait(e.fields.Headers["gate"])
			if e.fields.RawPath == "/stream-exit" {
				os.Exit(6)
			}
			select {}
		}})
	default:
		if url := e.fields.Headers["gate"]; url != "" {
			wait(url)
		}
		_, _ = c.respondJSON(ctx, e.id, map[string]any{"statusCode": 200, "body": fmt.Sprint(os.Getpid())})
	}
}

// wait waits at a gate of the test's.
func wait(url string) {
	if res, err := http.Get(url); err == nil {
		res.Body.Close()
	}
}

// gatedReader reads first, and then whatever then does.
type gatedReader struct {
	first string
	then  func()
}

func (g *gatedReader) Read(p []byte) (int, error) {
	if g.first != "" {
		n := copy(p, g.first)
		g.first = g.first[n:]
		return n, nil
	}
	g.then()
	return 0, nil
}

// executable returns the path of the bootstrap.
func executable(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// startBootstrap starts f with this binary as its bootstrap.
func startBootstrap(t *testing.T, f Function) *Server {
	t.Helper()
	f.Bootstrap = executable(t)
	// The race detector would sleep a second before every exit.
	f.Env = maps.Clone(f.Env)
	if f.Env == nil {
		f.Env = map[string]string{}
	}
	f.Env["GORACE"] = "atexit_sleep_ms=0"
	return Start(t, f)
}
