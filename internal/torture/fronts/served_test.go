package fronts

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"example.com/relay/core"
)

// The rows look for goroutines that still serve a request when none should. While
// one is served, they must find the handler and the writer of its body.
func TestLiveRequestIsServed(t *testing.T) {
	arrived, leave := make(chan struct{}), make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		close(arrived)
		<-leave
	}))
	defer upstream.Close()
	cfg := core.Config{Upstreams: []core.Secret{core.Secret(upstream.URL)}, Logger: slog.New(slog.DiscardHandler)}
	relay, err := core.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(relay)
	defer server.Close()
	body, writer := io.Pipe()
	go func() {
		res, err := http.Post(server.URL+"/v1/files", "text/plain", body)
		if err == nil {
			res.Body.Close()
		}
	}()
	_, _ = io.WriteString(writer, "begun")
	<-arrived
	all := strings.Split(stacks(), "\n\n")
	if !slices.ContainsFunc(all, func(stack string) bool {
		return isServed(stack) && strings.Contains(stack, "net/http.(*conn).serve")
	}) {
		t.Errorf("the handler is not found in:\n%s", strings.Join(all, "\n\n"))
	}
	if !slices.ContainsFunc(all, func(stack string) bool {
		return isServed(stack) && !strings.Contains(stack, "net/http.(*conn).serve(")
	}) {
		t.Errorf("the body's writer is not found in:\n%s", strings.Join(all, "\n\n"))
	}
	close(leave)
	writer.Close()
}
