//go:build unix

package core

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// Over TLS, the upstream's farewell stands unread before the end of a closed
// connection.
func TestNoRequestFailsByAClosedTLSConnection(t *testing.T) {
	upstream := httptest.NewTLSServer(http.HandlerFunc(echo))
	defer upstream.Close()
	f := &front{log: new(lockedBuffer)}
	f.start(t, upstream.URL, func(cfg *Config) {
		cfg.TLS, cfg.Platform = trusting(upstream), Platform{SingleRequest: true}
	})
	for i := range 200 {
		if res, body := send(t, "POST", f.URL+"/v1/chat/completions", "hello"); res.StatusCode != 200 ||
			body != "hello" {
			t.Fatalf("request %d: got %d %.200s", i, res.StatusCode, body)
		}
		upstream.CloseClientConnections()
	}
}
