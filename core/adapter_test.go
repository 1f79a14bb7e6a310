package core_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"example.com/relay/core"
	"example.com/relay/internal/contract"
)

// serveHandler is what the simplest adapter is: net/http's own server.
func serveHandler(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

func TestPlainServerIsAnAdapter(t *testing.T) {
	contract.TestAdapter(t, func(t *testing.T, environ []string) string {
		return serveHandler(t, core.FromEnv(append(environ, "RELAY_LOG_LEVEL=off"), core.Platform{}))
	})
}

func TestPlainServerIsABridge(t *testing.T) { contract.TestBridge(t, serveHandler) }
