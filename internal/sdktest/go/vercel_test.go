//go:build linux

package sdktest

import (
	"strings"
	"testing"
	"time"

	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/vercelbuild"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// The tests of this file run on what the real Vercel builds, behind its proxy.

// startVercel serves f as a relay to u until the test ends, with more of its
// settings in environ. Then it fails the test if the log holds a secret.
func startVercel(t *testing.T, f *vercelbuild.Function, u *fakeopenai.Upstream,
	environ ...string) *vercelbuild.Process {
	t.Helper()
	u.Delay = 3 * time.Millisecond // Vercel's proxy loses responses that come at once
	var p *vercelbuild.Process
	t.Cleanup(func() { // after it ended
		if p != nil && strings.Contains(p.Logs(), canary) {
			t.Errorf("the function's log holds a secret:\n%s", p.Logs())
		}
	})
	p = f.Start(t, append([]string{"RELAY_UPSTREAMS=" + u.URL, "RELAY_LOG_LEVEL=debug"}, environ...))
	return p
}

// onVercel returns the way through what Vercel builds.
func onVercel(t *testing.T) way {
	f := vercelbuild.Build(t)
	return way{
		name:   "vercel",
		serve:  func(t *testing.T, u *fakeopenai.Upstream) string { return startVercel(t, f, u).URL },
		upload: 4 << 20, // the platform accepts bodies of 4.5 MB
		serial: true,    // its proxy has one port
	}
}

func TestVercel(t *testing.T)                   { onVercel(t).testCalls(t) }
func TestVercelEventsComeOneByOne(t *testing.T) { onVercel(t).testEvents(t, "silence=%d") }
func TestVercelCutStreams(t *testing.T)         { onVercel(t).testCutStreams(t) }
func TestVercelAborts(t *testing.T)             { onVercel(t).testAborts(t) }
func TestVercelRealtime(t *testing.T)           { onVercel(t).testRealtime(t) }

// TestVercelRefusals counts the SDK's attempts at what the relay refuses.
func TestVercelRefusals(t *testing.T) {
	f := vercelbuild.Build(t)
	u := fakeopenai.StartUpstream(t)
	p := startVercel(t, f, u, "RELAY_ACCESS_TOKENS="+token)
	t.Run("wrong token", func(t *testing.T) {
		a := newAPI(u, p.URL, option.WithAPIKey("rt_wrong."+apiKey))
		_, err := a.Chat.Completions.New(t.Context(), chatParams())
		wantRelayError(t, err, 401, "invalid_access_token", "", "false")
		wantEnded(t, p, 1)
		wantRelayError(t, a.streamChat(t.Context(), chatParams()).err, 401, "invalid_access_token", "", "false")
		wantEnded(t, p, 1)
		a.wantRequests(t, 0)
	})
	t.Run("body too large", func(t *testing.T) {
		a := newAPI(u, p.URL, option.WithAPIKey("rt_"+token+"."+apiKey))
		_, err := a.Files.New(t.Context(), openai.FileNewParams{
			File: openai.File(strings.NewReader(strings.Repeat(canary, 1<<20)), canary+".bin",
				"application/octet-stream"),
			Purpose: openai.FilePurposeUserData,
		})
		wantRelayError(t, err, 413, "body_too_large", "", "false")
		wantEnded(t, p, 1)
		a.wantRequests(t, 0)
	})
}

// wantEnded fails the test unless n requests have ended since it was called
// last.
func wantEnded(t *testing.T, p *vercelbuild.Process, n int) {
	t.Helper()
	for i := range n {
		select {
		case <-p.Ended:
		case <-time.After(2 * time.Second):
			t.Fatalf("%d requests ended, want %d", i, n)
		}
	}
	select {
	case <-p.Ended:
		t.Errorf("more than %d requests ended", n)
	case <-time.After(20 * time.Millisecond):
	}
}

// TestVercelCutBodies has truncated responses other than event streams. It does not
// compare with what the SDK makes of them directly: if little has arrived, Vercel's
// proxy closes the connection without a response, which becomes a 502 that the SDK
// would retry.
func TestVercelCutBodies(t *testing.T) {
	f := vercelbuild.Build(t)
	for name, call := range bodyCalls {
		t.Run(name, func(t *testing.T) {
			u := fakeopenai.StartUpstream(t)
			a := newAPI(u, startVercel(t, f, u).URL, option.WithMaxRetries(0))
			for _, fault := range bodyCuts {
				if got := meetCutBody(t, a, call, fault); got != 1 {
					t.Errorf("%s: the upstream got %d requests, want 1", fault, got)
				}
				u.Reset()
			}
		})
	}
}
