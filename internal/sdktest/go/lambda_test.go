package sdktest

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/lambdaemu"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
)

// TestFunction has what works, by the way that programs in a refused region go.
func TestFunction(t *testing.T) {
	t.Run("chat", func(t *testing.T) {
		t.Parallel()
		bothOn(t, streaming, completeChat)
	})
	t.Run("chat stream", func(t *testing.T) {
		t.Parallel()
		bothOn(t, streaming, streamWholeChat)
	})
	t.Run("response", func(t *testing.T) {
		t.Parallel()
		bothOn(t, streaming, createResponse)
	})
	t.Run("response stream", func(t *testing.T) {
		t.Parallel()
		bothOn(t, streaming, streamWholeResponse)
	})
	t.Run("embeddings", func(t *testing.T) {
		t.Parallel()
		bothOn(t, streaming, embed)
	})
	t.Run("transcription", func(t *testing.T) {
		t.Parallel()
		bothOn(t, streaming, transcribe)
	})
	t.Run("file upload", func(t *testing.T) {
		t.Parallel()
		// The platform takes events of 6 MB, in which a file is base64.
		bothOn(t, streaming, func(t *testing.T, a *api) *openai.FileObject { return uploadFile(t, a, 4<<20) })
	})
	t.Run("speech", func(t *testing.T) {
		t.Parallel()
		bothOn(t, streaming, func(t *testing.T, a *api) download {
			d := speak(t, a)
			d.ContentLength = 0 // the platform sends streamed responses in chunks
			return d
		})
	})
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			bothOn(t, streaming, r.meet)
		})
	}
}

// TestFunctionEventsComeOneByOne is TestEventsComeOneByOne but for its end: the
// platform does not tell a function that its client is gone.
func TestFunctionEventsComeOneByOne(t *testing.T) {
	for events := range 6 {
		silence := option.WithHeader("Fake-Fault", fmt.Sprintf("silence=%d", events))
		t.Run(fmt.Sprintf("chat %d", events), func(t *testing.T) {
			t.Parallel()
			bothOn(t, streaming, func(t *testing.T, a *api) any {
				readThenCancel(t, a, events, func(ctx context.Context) *ssestream.Stream[openai.ChatCompletionChunk] {
					return a.Chat.Completions.NewStreaming(ctx, chatParams(), silence)
				})
				return nil
			})
		})
		t.Run(fmt.Sprintf("response %d", events), func(t *testing.T) {
			t.Parallel()
			bothOn(t, streaming, func(t *testing.T, a *api) any {
				readThenCancel(t, a, events, func(ctx context.Context) *responseStream {
					return a.Responses.NewStreaming(ctx, responseParams(), silence)
				})
				return nil
			})
		})
	}
}

// TestFunctionWrongToken counts how often the SDK asks for what the relay
// refuses.
func TestFunctionWrongToken(t *testing.T) {
	t.Parallel()
	u := fakeopenai.StartUpstream(t)
	s := startFunction(t, u, streaming, "RELAY_ACCESS_TOKENS="+token)
	a := newAPI(u, s.URL, option.WithAPIKey("rt_wrong."+apiKey))
	_, err := a.Chat.Completions.New(t.Context(), chatParams())
	wantRelayError(t, err, 401, "invalid_access_token", "", "false")
	wantInvocations(t, s, 1)
	wantRelayError(t, a.streamChat(t.Context(), chatParams()).err, 401, "invalid_access_token", "", "false")
	wantInvocations(t, s, 2)
	a.wantRequests(t, 0)
}

func wantInvocations(t *testing.T, s *lambdaemu.Server, n int) {
	t.Helper()
	if got := s.Stats().Invocations; got != n {
		t.Errorf("the function was invoked %d times, want %d", got, n)
	}
}

// TestFunctionCutStreams is TestCutStreams and TestCutAfterAll for each way in
// which the platform may show the cut. Even one that looks like a clean end must
// be an error to the SDK.
func TestFunctionCutStreams(t *testing.T) {
	for _, look := range looks {
		f := showing(look)
		for _, c := range append([]cut{cutBehindChat}, cuts...) {
			t.Run(fmt.Sprintf("%s: chat %s", look, c.fault), func(t *testing.T) {
				t.Parallel()
				bothOn(t, f, c.meetInChat)
			})
		}
		for _, c := range append([]cut{cutBehindResponse}, cuts...) {
			t.Run(fmt.Sprintf("%s: response %s", look, c.fault), func(t *testing.T) {
				t.Parallel()
				bothOn(t, f, c.meetInResponse)
			})
		}
		t.Run(fmt.Sprintf("%s: chat behind [DONE]", look), func(t *testing.T) {
			t.Parallel()
			bothOn(t, f, streamToDone)
		})
	}
}

// TestFunctionCutJSON has JSON that breaks off. Directly the SDK finds that in
// the midst of a response; here it must be told by the status.
func TestFunctionCutJSON(t *testing.T) {
	for _, look := range looks {
		f := showing(look)
		for _, name := range []string{"chat", "models"} {
			for _, fault := range bodyCuts {
				t.Run(fmt.Sprintf("%s: %s %s", look, name, fault), func(t *testing.T) {
					t.Parallel()
					u := fakeopenai.StartUpstream(t)
					u.SetFault(func(*http.Request) string { return fault })
					a := newAPI(u, startFunction(t, u, f).URL, option.WithMaxRetries(0))
					wantRelayError(t, bodyCalls[name](t, a), 502, "upstream_interrupted", "500", "")
					a.wantRequests(t, 1)
				})
			}
		}
	}
}

// TestFunctionCutJSONIsRetried counts the attempts at a response that breaks off
// each time, and at one that does so once.
func TestFunctionCutJSONIsRetried(t *testing.T) {
	for _, look := range looks {
		t.Run(string(look), func(t *testing.T) {
			t.Parallel()
			u := fakeopenai.StartUpstream(t)
			a := newAPI(u, startFunction(t, u, showing(look)).URL)
			u.Script("cut=3", "short-cl", "reset=3")
			wantRelayError(t, bodyCalls["chat"](t, a), 502, "upstream_interrupted", "500", "")
			a.wantRequests(t, 3)
			u.Reset()
			u.Script("cut=3")
			if _, err := a.Chat.Completions.New(t.Context(), chatParams()); err != nil {
				t.Error(err)
			}
			a.wantRequests(t, 2)
		})
	}
}

// TestFunctionCutLargeJSON has JSON that is too large for the function to hold
// back until it is whole. The SDK finds no end of it.
func TestFunctionCutLargeJSON(t *testing.T) {
	for _, look := range looks {
		t.Run(string(look), func(t *testing.T) {
			t.Parallel()
			u := fakeopenai.StartUpstream(t)
			u.SetFault(func(*http.Request) string { return "bytes=3000000 cut=1" })
			a := newAPI(u, startFunction(t, u, showing(look)).URL)
			if err := bodyCalls["chat"](t, a); err == nil {
				t.Error("the SDK returned no error")
			}
			a.wantRequests(t, 1)
		})
	}
}

// TestFunctionCutBinary has bytes that break off. However the platform shows
// that, they are held back and become a 502.
func TestFunctionCutBinary(t *testing.T) {
	for _, look := range []lambdaemu.Cut{lambdaemu.CutBroken, lambdaemu.CutClean} {
		for _, name := range []string{"speech", "file content"} {
			for _, fault := range bodyCuts {
				t.Run(fmt.Sprintf("%s %s %s", look, name, fault), func(t *testing.T) {
					t.Parallel()
					u := fakeopenai.StartUpstream(t)
					u.SetFault(func(*http.Request) string { return fault })
					a := newAPI(u, startFunction(t, u, showing(look)).URL)
					if err := bodyCalls[name](t, a); err == nil {
						t.Error("the SDK returned no error")
					}
				})
			}
		}
	}
}

// TestFunctionBuffered has a function whose responses come in one piece, even
// those that are streams.
func TestFunctionBuffered(t *testing.T) {
	f := lambdaemu.Function{Mode: lambdaemu.Buffered}
	t.Run("chat", func(t *testing.T) {
		t.Parallel()
		bothOn(t, f, completeChat)
	})
	t.Run("chat stream", func(t *testing.T) {
		t.Parallel()
		bothOn(t, f, streamWholeChat)
	})
	t.Run("cut stream", func(t *testing.T) {
		t.Parallel()
		u := fakeopenai.StartUpstream(t)
		a := newAPI(u, startFunction(t, u, f).URL, option.WithMaxRetries(0))
		s := a.streamChat(t.Context(), chatParams(), option.WithHeader("Fake-Fault", "cut=3"))
		// Nothing has left when the cut comes, so the status can say it.
		wantRelayError(t, s.err, 502, "upstream_interrupted", "500", "")
		a.wantRequests(t, 1)
	})
}
