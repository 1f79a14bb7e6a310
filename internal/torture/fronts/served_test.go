package fronts

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

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
	// The header has arrived, but the goroutine that sent it may not have come back yet.
	all := ""
	found := func(handler bool) bool {
		return slices.ContainsFunc(strings.Split(all, "\n\n"), func(stack string) bool {
			return isServed(stack) && strings.Contains(stack, "net/http.(*conn).serve(") == handler
		})
	}
	if !eventually(10*time.Second, func() bool { all = stacks(); return found(true) && found(false) }) {
		t.Errorf("the handler is found: %t, the body's writer: %t, in:\n%s", found(true), found(false), all)
	}
	close(leave)
	writer.Close()
}
