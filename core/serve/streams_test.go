package serve

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"example.com/relay/core"
)

// A stream is complete however long after its last event the upstream ends it. The
// deadline of that event's write has passed by then, and the server's last write, of
// the end, must not be held to it.
func TestStreamEndsAfterSilence(t *testing.T) {
	const writeTimeout = 100 * time.Millisecond
	read := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		<-read
		time.Sleep(3 * writeTimeout)
	}))
	t.Cleanup(upstream.Close)
	r := startWith(t, core.Config{Upstreams: []core.Secret{core.Secret(upstream.URL)}, WriteTimeout: writeTimeout}, 0)
	res, err := http.Get(r.url + "/v1/models")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	event := make([]byte, len("data: 1\n\n"))
	if _, err := io.ReadFull(res.Body, event); err != nil {
		t.Fatal(err)
	}
	close(read)
	if rest, err := io.ReadAll(res.Body); len(rest) > 0 || err != nil {
		t.Errorf("the stream ends with %q, %v, want a complete one", rest, err)
	}
}
