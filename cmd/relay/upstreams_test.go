package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/relay/core"
	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/proc"
)

func init() { watchInterval = 2 * time.Millisecond }

// fileToken is the access token in the files of these tests.
const fileToken = "CANARY-file-token"

// endpoint returns an upstream as an entry of a file.
func endpoint(name, url string) string {
	return `{"name":"` + name + `","url":"` + url + `","token":"` + fileToken + `"}`
}

// writeFile replaces a file atomically, as a careful deployment does.
func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// newFile writes a file of upstreams and returns its name.
func newFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "urls.json")
	writeFile(t, name, text)
	return name
}

// waitForLog waits until the log of s has text n times.
func (s *served) waitForLog(t *testing.T, text string, n int) {
	t.Helper()
	for start := time.Now(); strings.Count(s.stderr.String(), text) < n; time.Sleep(time.Millisecond) {
		if time.Since(start) > 20*time.Second {
			t.Fatalf("the log does not have %q %d times:\n%s", text, n, s.stderr)
		}
	}
}

// wantNoSecret fails the test if s has printed one of the canaries.
func (s *served) wantNoSecret(t *testing.T) {
	t.Helper()
	if out := s.stdout.String() + s.stderr.String(); strings.Contains(out, "CANARY") {
		t.Errorf("printed a secret:\n%s", out)
	}
}

// chat sends a chat to the relay and returns the response's upstream and status.
func (s *served) chat(t *testing.T) (upstream string, status int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.base+"/v1/chat/completions",
		strings.NewReader(`{"model":"m","messages":[{"role":"user","content":"hello"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+serveKey)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || strings.Contains(string(body), "CANARY") {
		t.Errorf("body %q, %v", body, err)
	}
	return res.Header.Get("X-Relay-Upstream"), res.StatusCode
}

// refusing returns a base URL at which connections are refused.
func refusing(t *testing.T) string {
	t.Helper()
	return "http://" + proc.RefusingAddr(t)
}

func TestServeUpstreamsFile(t *testing.T) {
	u, dead := fakeopenai.StartUpstream(t), refusing(t)
	list := `[` + endpoint("paris", dead) + `,` + endpoint("london", u.URL) + `]`
	file := newFile(t, `{"endpoints":{"sensitive":true,"type":"dynamic","value":`+list+
		`},"urls":{"sensitive":false,"value":{}}}`)
	s := startServe(t, nil, "-upstreams-file", file)
	if !strings.Contains(s.stdout.String(), "to "+dead+", "+u.URL+", no access token required") {
		t.Errorf("the upstreams are not in:\n%s", s.stdout)
	}
	if upstream, status := s.chat(t); upstream != "london" || status != 200 {
		t.Errorf("got %d from %q, want 200 from london", status, upstream)
	}
	if got := u.Last().Header.Get("X-Relay-Token"); got != fileToken {
		t.Errorf("the upstream got the token %q, want %q", got, fileToken)
	}
	if got := u.Last().Header.Get("Authorization"); got != "Bearer "+serveKey {
		t.Errorf("the upstream got Authorization %q", got)
	}
	s.waitForLog(t, `"upstream":"london"`, 1)
	s.wantNoSecret(t)
}

// heldStream starts an upstream whose streams continue when release receives a
// value.
func heldStream(t *testing.T) (url string, release chan struct{}) {
	t.Helper()
	release = make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: one\n\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-release:
			_, _ = io.WriteString(w, "data: two\n\ndata: [DONE]\n\n")
		case <-req.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, release
}

// A new file applies to new requests; those in flight are left alone.
func TestServeReloads(t *testing.T) {
	old, release := heldStream(t)
	a, b := fakeopenai.StartUpstream(t), fakeopenai.StartUpstream(t)
	for _, before := range []string{
		endpoint("old", old),
		endpoint("old", old) + `,` + endpoint("other", refusing(t)),
	} {
		file := newFile(t, `[`+before+`]`)
		s := startServe(t, nil, "-upstreams-file", file)
		r := stream(t, s.base, "")

		writeFile(t, file, `[`+endpoint("a", a.URL)+`,`+endpoint("b", b.URL)+`]`)
		s.waitForLog(t, "upstreams file read", 1)
		if upstream, status := s.chat(t); upstream != "a" || status != 200 {
			t.Errorf("got %d from %q, want 200 from a", status, upstream)
		}
		writeFile(t, file, `[`+endpoint("b", b.URL)+`,`+endpoint("a", a.URL)+`]`)
		s.waitForLog(t, "upstreams file read", 2)
		if upstream, status := s.chat(t); upstream != "b" || status != 200 {
			t.Errorf("got %d from %q, want 200 from b", status, upstream)
		}
		writeFile(t, file, `["`+a.URL+`"]`) // without tokens, and one only
		s.waitForLog(t, "upstreams file read", 3)
		a.Reset()
		if upstream, status := s.chat(t); upstream != "" || status != 200 {
			t.Errorf("got %d from %q, want 200 from one upstream, which has no name", status, upstream)
		}
		if got := a.Last().Header.Get("X-Relay-Token"); got != "" {
			t.Errorf("the upstream got a token of the previous file: %q", got)
		}

		go func() { release <- struct{}{} }() // now the stream continues
		if body, err := io.ReadAll(r); err != nil || string(body) != "\ndata: two\n\ndata: [DONE]\n\n" {
			t.Errorf("the stream in flight got %q, %v", body, err)
		}
		if text := `"upstreams":"` + a.URL + `, ` + b.URL + `"`; !strings.Contains(s.stderr.String(), text) {
			t.Errorf("no %s in the log:\n%s", text, s.stderr)
		}
		s.wantNoSecret(t)
	}
}

// Keys in the file go to their upstreams, and a new file takes them back.
func TestServeKeysOfUpstreams(t *testing.T) {
	a, b := fakeopenai.StartUpstream(t), fakeopenai.StartUpstream(t)
	entry := func(name, url, key string) string {
		return `{"name":"` + name + `","url":"` + url + `/v1","api_key":"` + key + `"}`
	}
	file := newFile(t, `[`+entry("dead", refusing(t), "sk-CANARY-0")+`,`+entry("a", a.URL, "sk-CANARY-a")+`]`)
	s := startServe(t, []string{"RELAY_ACCESS_TOKENS=" + serveKey}, "-upstreams-file", file)
	if !strings.Contains(s.stdout.String(), `Bearer rt_$TOKEN"`) {
		t.Errorf("clients are told to send a key:\n%s", s.stdout)
	}
	if upstream, status := s.chat(t); upstream != "a" || status != 200 ||
		a.Last().Header.Get("Authorization") != "Bearer sk-CANARY-a" {
		t.Errorf("got %d from %q, which got %q", status, upstream, a.Last().Header.Get("Authorization"))
	}
	writeFile(t, file, `[`+entry("b", b.URL, "sk-CANARY-b")+`,{"url":"`+a.URL+`"}]`) // which lacks a key
	s.waitForLog(t, "has neither an API key nor a token", 1)
	writeFile(t, file, `[`+entry("b", b.URL, "sk-CANARY-b")+`,`+entry("a", a.URL, "sk-CANARY-2")+`]`)
	s.waitForLog(t, "upstreams file read", 1)
	if upstream, status := s.chat(t); upstream != "b" || status != 200 ||
		b.Last().Header.Get("Authorization") != "Bearer sk-CANARY-b" {
		t.Errorf("got %d from %q, which got %q", status, upstream, b.Last().Header.Get("Authorization"))
	}
	s.waitForLog(t, `"upstream":"b"`, 1)
	s.wantNoSecret(t)
}

// A file that cannot be used changes nothing.
func TestServeKeepsItsUpstreams(t *testing.T) {
	u, other := fakeopenai.StartUpstream(t), fakeopenai.StartUpstream(t)
	good := `[` + endpoint("u", u.URL) + `,` + endpoint("spare", refusing(t)) + `]`
	file := newFile(t, good)
	s := startServe(t, nil, "-upstreams-file", file)
	tests := []struct{ name, text, problem string }{
		{"not JSON", "CANARY", "must be a JSON list"},
		{"half a file", good[:len(good)-20], "must be a JSON list"},
		{"empty", "", "must be a JSON list"},
		{"no upstream", "[]", "names no upstream"},
		{"a bad URL", `[` + endpoint("x", other.URL) + `,{"url":"http://rt_CANARY@relay.example"}]`,
			"entry 2: must be https"},
		{"an unknown field", `[{"url":"` + other.URL + `","tokne":"CANARY"}]`, "must be a JSON list"},
		{"duplicate", `[` + endpoint("x", other.URL) + `,` + endpoint("y", other.URL) + `]`,
			"entry 2: is the same upstream as entry 1"},
	}
	for i, test := range tests {
		writeFile(t, file, test.text)
		s.waitForLog(t, "upstreams file not used", i+1)
		if !strings.Contains(s.stderr.String(), test.problem) {
			t.Errorf("%s: no %q in the log:\n%s", test.name, test.problem, s.stderr)
		}
		if upstream, status := s.chat(t); upstream != "u" || status != 200 {
			t.Errorf("%s: got %d from %q, want 200 from u", test.name, status, upstream)
		}
	}
	// A file that disappears may come back. The log has one line about it.
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	s.waitForLog(t, "no such file", 1)
	if upstream, status := s.chat(t); upstream != "u" || status != 200 {
		t.Errorf("without a file: got %d from %q, want 200 from u", status, upstream)
	}
	writeFile(t, file, `[`+endpoint("other", other.URL)+`,`+endpoint("u", u.URL)+`]`)
	s.waitForLog(t, "upstreams file read", 1)
	if upstream, status := s.chat(t); upstream != "other" || status != 200 {
		t.Errorf("with a good file: got %d from %q, want 200 from other", status, upstream)
	}
	if n := strings.Count(s.stderr.String(), "upstreams file not used"); n != len(tests)+1 {
		t.Errorf("the log has %d lines about files that were not used, want %d:\n%s", n, len(tests)+1, s.stderr)
	}
	s.wantNoSecret(t)
}

// A change right after the start is not missed.
func TestUpstreamsFileChangesBeforeItIsWatched(t *testing.T) {
	f := upstreamsFile{name: newFile(t, `["http://127.0.0.1:1"]`)}
	urls, err := f.read(nil)
	if err != nil {
		t.Fatal(err)
	}
	out := new(proc.Buffer)
	logger := slog.New(slog.NewJSONHandler(out, nil))
	relay, err := core.New(core.Config{Upstreams: urls, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, f.name, `["http://127.0.0.1:2"]`)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		f.watch(ctx, relay, logger)
		close(done)
	}()
	(&served{stderr: out}).waitForLog(t, "http://127.0.0.1:2", 1)
	stop()
	<-done
}

func TestServeRefusesUpstreamsFile(t *testing.T) {
	good := newFile(t, `[`+endpoint("u", "https://relay.example")+`]`)
	missing := filepath.Join(t.TempDir(), "CANARY-free.json")
	tests := []struct {
		name    string
		environ []string
		file    string
		want    []string
	}{
		{"with RELAY_UPSTREAMS", []string{"RELAY_UPSTREAMS=https://rt_CANARY@other.example"}, good,
			[]string{"RELAY_UPSTREAMS", "-upstreams-file"}},
		{"missing", nil, missing, []string{"-upstreams-file", "no such file"}},
		{"a folder", nil, t.TempDir(), []string{"-upstreams-file", "is a directory"}},
		{"broken", nil, newFile(t, `[`+endpoint("u", "https://relay.example")),
			[]string{"-upstreams-file", "urls.json", "must be a JSON list"}},
		{"a bad entry", nil, newFile(t, `[`+endpoint("u", "http://relay.example")+`]`),
			[]string{"urls.json: entry 1: must be https"}},
		{"duplicate", nil,
			newFile(t, `[`+endpoint("u", "https://relay.example")+`,`+endpoint("v", "https://relay.example/v1")+`]`),
			[]string{"urls.json: entry 2: is the same upstream as entry 1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := run(t.Context(), []string{"serve", "-listen", "127.0.0.1:0", "-upstreams-file", test.file},
				test.environ, &stdout, &stderr)
			if status != exitUsage || stdout.Len() > 0 || strings.Count(stderr.String(), "\n") != 1 {
				t.Errorf("status %d, printed %q, %q; want %d, nothing, one line", status, stdout.String(),
					stderr.String(), exitUsage)
			}
			for _, want := range test.want {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("no %q in %q", want, stderr.String())
				}
			}
			if out := strings.ReplaceAll(stderr.String(), missing, ""); strings.Contains(out, "CANARY") ||
				strings.Contains(out, "relay.example") {
				t.Errorf("printed %q", out)
			}
		})
	}
}
