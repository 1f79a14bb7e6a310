//go:build linux

package sdktest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/vercelbuild"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
)

// The tests of this file run on what the real Vercel builds, behind its proxy.
// None is parallel, since that has one port.

// startVercel serves f as a relay to u until the test ends, with more of its
// settings in environ. Then it fails the test if the log holds a secret.
func startVercel(t *testing.T, f *vercelbuild.Function, u *fakeopenai.Upstream, environ ...string) *vercelbuild.Process {
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

// bothOnVercel is both for a relay that is f.
func bothOnVercel[T any](t *testing.T, f *vercelbuild.Function, call func(t *testing.T, a *api) T) {
	t.Helper()
	bothBy(t, "vercel", func(t *testing.T, u *fakeopenai.Upstream) string { return startVercel(t, f, u).URL }, call)
}

// TestVercel has what works.
func TestVercel(t *testing.T) {
	f := vercelbuild.Build(t)
	t.Run("chat", func(t *testing.T) { bothOnVercel(t, f, completeChat) })
	t.Run("chat stream", func(t *testing.T) { bothOnVercel(t, f, streamWholeChat) })
	t.Run("response", func(t *testing.T) { bothOnVercel(t, f, createResponse) })
	t.Run("response stream", func(t *testing.T) { bothOnVercel(t, f, streamWholeResponse) })
	t.Run("embeddings", func(t *testing.T) { bothOnVercel(t, f, embed) })
	t.Run("transcription", func(t *testing.T) { bothOnVercel(t, f, transcribe) })
	t.Run("file upload", func(t *testing.T) {
		// The platform takes bodies of 4.5 MB.
		bothOnVercel(t, f, func(t *testing.T, a *api) *openai.FileObject { return uploadFile(t, a, 4<<20) })
	})
	t.Run("speech", func(t *testing.T) { bothOnVercel(t, f, speak) })
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) { bothOnVercel(t, f, r.meet) })
	}
}

// TestVercelEventsComeOneByOne is TestEventsComeOneByOne: Vercel ends the
// upstream's response as well when the client leaves.
func TestVercelEventsComeOneByOne(t *testing.T) {
	f := vercelbuild.Build(t)
	for events := range 6 {
		silence := option.WithHeader("Fake-Fault", fmt.Sprintf("silence=%d", events))
		t.Run(fmt.Sprintf("chat %d", events), func(t *testing.T) {
			bothOnVercel(t, f, func(t *testing.T, a *api) any {
				readThenLeave(t, a, events, func(ctx context.Context) *ssestream.Stream[openai.ChatCompletionChunk] {
					return a.Chat.Completions.NewStreaming(ctx, chatParams(), silence)
				})
				return nil
			})
		})
		t.Run(fmt.Sprintf("response %d", events), func(t *testing.T) {
			bothOnVercel(t, f, func(t *testing.T, a *api) any {
				readThenLeave(t, a, events, func(ctx context.Context) *responseStream {
					return a.Responses.NewStreaming(ctx, responseParams(), silence)
				})
				return nil
			})
		})
	}
}

// TestVercelAbort is TestAbort.
func TestVercelAbort(t *testing.T) {
	f := vercelbuild.Build(t)
	t.Run("before the header", func(t *testing.T) { bothOnVercel(t, f, leaveBeforeHeader) })
	t.Run("by closing the stream", func(t *testing.T) { bothOnVercel(t, f, closeStream) })
	t.Run("in the middle of an upload", func(t *testing.T) { bothOnVercel(t, f, leaveUpload) })
	t.Run("and again", func(t *testing.T) { bothOnVercel(t, f, leaveOften) })
}

// TestVercelRefusals counts how often the SDK asks for what the relay refuses.
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
			File:    openai.File(strings.NewReader(strings.Repeat(canary, 1<<20)), canary+".bin", "application/octet-stream"),
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

// TestVercelCutStreams is TestCutStreams and TestCutAfterAll.
func TestVercelCutStreams(t *testing.T) {
	f := vercelbuild.Build(t)
	for _, c := range append([]cut{cutBehindChat}, cuts...) {
		t.Run("chat "+c.fault, func(t *testing.T) { bothOnVercel(t, f, c.meetInChat) })
	}
	for _, c := range append([]cut{cutBehindResponse}, cuts...) {
		t.Run("response "+c.fault, func(t *testing.T) { bothOnVercel(t, f, c.meetInResponse) })
	}
	t.Run("chat behind [DONE]", func(t *testing.T) { bothOnVercel(t, f, streamToDone) })
}

// TestVercelCutBodies has responses other than event streams that break off. It
// does not compare with what the SDK makes of them directly: where little has
// come, Vercel's proxy ends the connection without a response, which becomes a 502
// that the SDK would ask again for.
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

// TestVercelRealtime has WebSockets, which Vercel's proxy passes on.
func TestVercelRealtime(t *testing.T) {
	f := vercelbuild.Build(t)
	t.Run("echo", func(t *testing.T) {
		bothOnVercel(t, f, func(t *testing.T, a *api) any {
			echoRealtime(t, a)
			return nil
		})
	})
	for _, fault := range realtimeCuts {
		t.Run(fault, func(t *testing.T) {
			bothOnVercel(t, f, func(t *testing.T, a *api) any { return meetRealtimeCut(t, a, fault) })
		})
	}
	t.Run("left", func(t *testing.T) { bothOnVercel(t, f, leaveRealtime) })
}
