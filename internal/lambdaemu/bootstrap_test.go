package lambdaemu

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

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
		_, _ = c.post(ctx, "/2020-01-01/extension/register", strings.NewReader(`{"events":[]}`), "Lambda-Extension-Name", "test")
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
		_, _ = c.respondJSON(ctx, e.id, "answered")
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
