package main

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/proc"
)

// refuse runs relay serve, which must not start, and returns the error it prints.
func refuse(t *testing.T, environ []string, args ...string) string {
	t.Helper()
	stdout, stderr := new(proc.Buffer), new(proc.Buffer)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // in case it starts
	defer cancel()
	if status := run(ctx, append([]string{"serve"}, args...), environ, stdout, stderr); status != exitUsage {
		t.Errorf("%q: exit status %d, %s%s", args, status, stdout, stderr)
	}
	printed := stderr.String()
	if strings.Count(printed, "\n") != 1 || strings.Contains(printed, "CANARY") || stdout.String() != "" {
		t.Errorf("%q: printed %q", args, printed)
	}
	return printed
}

// A relay with a token in an upstream's URL and no access tokens of its own serves
// this machine only.
func TestServeHoldingATokenBeyondLoopback(t *testing.T) {
	holding := "RELAY_UPSTREAMS=https://rt_CANARY@relay.example"
	file := newFile(t, "["+endpoint("paris", "https://relay.example")+"]")
	for _, listen := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "relay.example:0"} {
		for _, printed := range []string{
			refuse(t, []string{holding}, "-listen", listen),
			refuse(t, nil, "-listen", listen, "-upstreams-file", file),
		} {
			if !strings.Contains(printed, "RELAY_ACCESS_TOKENS") {
				t.Errorf("%s: printed %q", listen, printed)
			}
		}
	}
	// Any web page could have a name that resolves to this machine.
	refuse(t, []string{holding, "RELAY_ALLOWED_HOSTS=*"}, "-listen", "127.0.0.1:0")
	environ := []string{holding, "RELAY_LOG_LEVEL=off"}
	startServe(t, append(environ, "RELAY_ALLOWED_HOSTS=*", "RELAY_ACCESS_TOKENS="+serveToken))
	startServe(t, environ)
}

// A relay beyond loopback needs access tokens, or a setting that says that it is open
// on purpose.
func TestServeOpenBeyondLoopback(t *testing.T) {
	file := newFile(t, `["https://relay.example"]`)
	for _, listen := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "relay.example:0", "[fe80::1%eth0]:0",
		"[::ffff:192.0.2.1]:0", "127.0.0.1.example:0"} {
		for _, said := range []string{
			refuse(t, nil, "-listen", listen), refuse(t, []string{"RELAY_ALLOW_ANYONE=false"}, "-listen="+listen),
			refuse(t, nil, "-listen", listen, "-upstreams-file", file),
			refuse(t, []string{"RELAY_ALLOWED_HOSTS=relay.example"}, "-listen", listen),
		} {
			if !strings.Contains(said, "RELAY_ACCESS_TOKENS") || !strings.Contains(said, "openssl rand -hex 32") ||
				!strings.Contains(said, "RELAY_ALLOW_ANYONE=true") {
				t.Errorf("%s: said %q", listen, said)
			}
		}
	}
	refuse(t, []string{"RELAY_ACCESS_TOKENS= "}, "-listen", "0.0.0.0:0") // counts as unset
	for _, environ := range [][]string{{"RELAY_ACCESS_TOKENS=" + serveToken}, {"RELAY_ALLOW_ANYONE=true"}} {
		s := startServe(t, append(environ, "RELAY_LOG_LEVEL=off"), "-listen", "0.0.0.0:0")
		if open := strings.Contains(s.stdout.String(),
			"open to everyone who reaches it"); open != (environ[0] == "RELAY_ALLOW_ANYONE=true") {
			t.Errorf("%q: greets with %s", environ, s.stdout)
		}
	}
	for _, listen := range []string{"127.0.0.1:0", "localhost:0", "[::1]:0", "127.0.0.2:0"} {
		startServe(t, []string{"RELAY_LOG_LEVEL=off"}, "-listen", listen)
	}
}

// The same holds for tokens that a changed file brings.
func TestServeUpstreamsFileBringsTokens(t *testing.T) {
	u := fakeopenai.StartUpstream(t)
	file := newFile(t, `["`+u.URL+`"]`)
	s := startServe(t, []string{"RELAY_ALLOWED_HOSTS=*"}, "-upstreams-file", file)
	writeFile(t, file, "["+endpoint("paris", refusing(t))+"]")
	s.waitForLog(t, "upstreams file not used", 1)
	if _, status := s.chat(t); status != http.StatusOK {
		t.Errorf("with the old upstreams: got %d", status)
	}
	s.wantNoSecret(t)
}

func TestServeRefusesABadProxy(t *testing.T) {
	for _, value := range []string{
		"http://user:CANARY@proxy.example:port", "http://[::1", "http://user:CANARY%zz@proxy.example", "\x7fproxy",
		"http://proxy .example:3128", "http://", "http://:3128",
		"ftp://user:CANARY@proxy.example", "://proxy", "user:CANARY@proxy.example:99x",
	} {
		for _, name := range []string{"HTTPS_PROXY", "https_proxy"} {
			printed := refuse(t, []string{name + "=" + value}, "-listen", "127.0.0.1:0")
			if !strings.Contains(printed, name) {
				t.Errorf("%q: printed %q", value, printed)
			}
		}
	}
	for _, environ := range [][]string{
		{"HTTPS_PROXY=http://user:CANARY@proxy.example:3128"}, {"https_proxy=proxy.example:3128"},
		{"HTTPS_PROXY=proxy.example"}, {"HTTPS_PROXY=socks5://127.0.0.1:1080"},
		{"HTTPS_PROXY="}, {"HTTPS_PROXY=http://proxy.example", "https_proxy=http://["},
		{"HTTPS_PROXY=http://[", "HTTPS_PROXY="},
	} {
		startServe(t, append(environ, "RELAY_LOG_LEVEL=off"))
	}
}
