//go:build linux

package vercelbuild

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
)

// edge emulates Vercel's edge in front of its proxy: it gives each request an id,
// adds some of Vercel's headers, and responds with 502 where the function closes
// the connection without a response. It returns its URL.
func edge(t *testing.T) string {
	t.Helper()
	function := &url.URL{Scheme: "http", Host: addr}
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		Transport:     transport,
		ErrorLog:      log.New(io.Discard, "", 0), // broken responses are meant
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(function)
			r.SetXForwarded()
			r.Out.URL.RawQuery = r.In.URL.RawQuery
			r.Out.Header.Set("X-Vercel-Internal-Invocation-Id", "invocation")
			r.Out.Header.Set("X-Vercel-Internal-Request-Id", "1")
			r.Out.Header.Set("X-Vercel-Oidc-Token", "token")
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		// Without it net/http may close the body while the proxy still reads it.
		_ = http.NewResponseController(w).EnableFullDuplex()
		proxy.ServeHTTP(w, req)
	}))
	server.Config.ErrorLog = proxy.ErrorLog
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}
