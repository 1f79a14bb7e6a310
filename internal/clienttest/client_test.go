package clienttest

import (
	"bytes"
	"context"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/proc"
)

const (
	// prompt is one word, which no client puts in quotes.
	prompt = "kaleidoscope"

	// runLimit is when a client that has not exited is killed. Some need half a minute
	// on a busy machine.
	runLimit = 3 * time.Minute
)

// program returns the path of a file that npm has installed.
func program(t *testing.T, path ...string) string {
	t.Helper()
	file := filepath.Join(path...)
	abs, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(abs); err != nil {
		t.Fatalf("%s is not installed: run make clients, or make clients-quick for Codex and the SDKs", file)
	}
	return abs
}

// run runs a client in an empty home until it exits, without this process's
// environment, and returns its output. Its requests to other hosts are refused.
func run(t *testing.T, home string, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), runLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = filepath.Join(home, "work")
	if err := os.MkdirAll(cmd.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	nowhere := "http://" + proc.RefusingAddr(t)
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + t.TempDir(), "CI=true",
		"HTTP_PROXY=" + nowhere, "HTTPS_PROXY=" + nowhere, "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1",
	}, env...)
	cmd.WaitDelay = 5 * time.Second // of children that keep its output open
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s\n%s", filepath.Base(name), err, &stdout, &stderr)
	}
	return stdout.String()
}

// newHome returns a new home. Files that a client still writes after it has exited may
// remain.
func newHome(t *testing.T) string {
	t.Helper()
	home, err := os.MkdirTemp("", "clienttest-home-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	return home
}

// write writes a file of a client's configuration.
func write(t *testing.T, text string, path ...string) {
	t.Helper()
	file := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), fs.FileMode(0o644)); err != nil {
		t.Fatal(err)
	}
}

// wantReply fails the test if a client's output lacks the upstream's reply to the
// prompt. It may have more: an agent can send its own texts along.
func wantReply(t *testing.T, printed string) {
	t.Helper()
	if reply := fakeopenai.Reply(prompt); !strings.Contains(printed, reply) {
		t.Errorf("the client printed\n%s\nwant %q in it", printed, reply)
	}
}

// checkSeen fails the test if the upstream saw no request, if one of them had another
// path or key or any part of a token, or if the bodies are not exactly those that the
// client sent, each once.
func (s *stack) checkSeen(t *testing.T, carrier string, paths ...string) []*fakeopenai.Request {
	t.Helper()
	seen := s.upstream.Requests()
	if len(seen) == 0 {
		t.Error("the upstream saw no request")
	}
	want := apiKey
	if carrier == "Authorization" {
		want = "Bearer " + apiKey
	}
	for _, r := range seen {
		if !slices.Contains(paths, r.Method+" "+r.RequestURI) {
			t.Errorf("the upstream saw %s %s, want one of %q", r.Method, r.RequestURI, paths)
		}
		if got := r.Header.Get(carrier); got != want {
			t.Errorf("%s %s has %s: %q, want %q", r.Method, r.RequestURI, carrier, got, want)
		}
		if r.BodyErr != nil {
			t.Errorf("%s %s: the body is truncated: %v", r.Method, r.RequestURI, r.BodyErr)
		}
		checkNoToken(t, r)
	}
	s.checkBodies(t, seen)
	return seen
}

func (s *stack) checkBodies(t *testing.T, seen []*fakeopenai.Request) {
	t.Helper()
	var got []string
	for _, r := range seen {
		if r.Method == http.MethodPost {
			got = append(got, string(r.Body))
		}
	}
	slices.Sort(got)
	sent := s.front.bodies()
	// The front forwards a body a moment before it records it.
	for end := time.Now().Add(10 * time.Second); !slices.Equal(got, sent) &&
		time.Now().Before(end); sent = s.front.bodies() {
		time.Sleep(time.Millisecond)
	}
	if !slices.Equal(got, sent) {
		t.Errorf("the client sent %d bodies and the upstream saw %d, or others:\n%.3000q\n%.3000q", len(sent), len(got),
			sent, got)
	}
}

// checkNoToken fails the test if the upstream saw a token, or any header of a relay
// except the one that detects loops.
func checkNoToken(t *testing.T, r *fakeopenai.Request) {
	t.Helper()
	var header bytes.Buffer
	http.Header.Write(r.Header, &header) //nolint:errcheck // a Buffer never fails
	for _, part := range append(r.Messages(), []byte(r.RequestURI), header.Bytes(), r.Body) {
		if bytes.Contains(part, []byte("CANARY")) {
			t.Errorf("%s %s: the upstream saw a token in %.2000s", r.Method, r.RequestURI, part)
		}
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Relay") {
			t.Errorf("%s %s: the upstream saw %s", r.Method, r.RequestURI, name)
		}
	}
}

// withPrompt returns the requests whose body contains the prompt.
func withPrompt(seen []*fakeopenai.Request) []*fakeopenai.Request {
	return slices.DeleteFunc(slices.Clone(seen), func(r *fakeopenai.Request) bool {
		return !bytes.Contains(r.Body, []byte(prompt))
	})
}
