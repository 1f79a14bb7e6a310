package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/relay/core"
	"example.com/relay/internal/proc"
)

func TestHealth(t *testing.T) {
	relay := startServe(t, []string{"RELAY_NAME=well", "RELAY_LOG_LEVEL=off"})
	respond := func(status int, body string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	tests := []struct {
		name   string
		args   []string
		status int
		out    string
	}{
		{"well", []string{relay.base}, exitOK, "ok: well, version " + core.Version + "\n"},
		{"by its base URL", []string{relay.base + "/v1/"}, exitOK, "ok: well"},
		{"ill", []string{respond(503, `{"status":"ok"}`)}, exitError, "status 503"},
		{"another service", []string{respond(200, `{"status":"up"}`)}, exitError, "not a relay's"},
		{"a page", []string{respond(200, "<html>")}, exitError, "health"},
		{"redirect", []string{respond(302, "")}, exitError, "status 302"},
		{"refused", []string{"http://" + proc.RefusingAddr(t)}, exitError, "refused"},
		{"help", []string{"-h"}, exitOK, "relay health [URL]"},
		{"two", []string{relay.base, relay.base}, exitUsage, "one URL"},
		{"no URL", []string{"relay:8787"}, exitUsage, "one URL"},
		{"flag", []string{"-x"}, exitUsage, "not defined"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			status := run(t.Context(), append([]string{"health"}, test.args...), nil, &out, &out)
			if status != test.status || !strings.Contains(out.String(), test.out) {
				t.Errorf("status %d, %q; want %d, %q", status, out.String(), test.status, test.out)
			}
		})
	}
}
