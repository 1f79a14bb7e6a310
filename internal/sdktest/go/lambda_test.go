package sdktest

import (
	"fmt"
	"net/http"
	"testing"

	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/lambdaemu"
	"github.com/openai/openai-go/v3/option"
)

func TestFunction(t *testing.T)                   { onFunction(streaming).testCalls(t) }
func TestFunctionEventsComeOneByOne(t *testing.T) { onFunction(streaming).testEvents(t, "silence=%d") }

// TestFunctionWrongToken counts the SDK's attempts at what the relay refuses.
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

// TestFunctionCutStreams shows the cut in each way in which the platform may. Even
// one that looks like a clean end must be an error to the SDK.
func TestFunctionCutStreams(t *testing.T) {
	for _, look := range looks {
		t.Run(string(look), onFunction(showing(look)).testCutStreams)
	}
}

// TestFunctionCutJSON has truncated JSON. Directly the SDK finds the truncation in the
// middle of a response; here the status must report it.
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

// TestFunctionCutJSONIsRetried counts the attempts at a response that is truncated
// each time, and at one that is truncated once.
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

// TestFunctionCutLargeJSON has truncated JSON that is too large for the function to
// buffer. The SDK finds that it is incomplete.
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

// TestFunctionCutBinary has truncated binary responses. However the platform shows a
// cut, they are buffered and become a 502.
func TestFunctionCutBinary(t *testing.T) {
	for _, look := range looks {
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
// streams.
func TestFunctionBuffered(t *testing.T) {
	f := lambdaemu.Function{Mode: lambdaemu.Buffered}
	runBoth(t, onFunction(f), "chat", completeChat)
	runBoth(t, onFunction(f), "chat stream", streamWholeChat)
	t.Run("cut stream", func(t *testing.T) {
		t.Parallel()
		u := fakeopenai.StartUpstream(t)
		a := newAPI(u, startFunction(t, u, f).URL, option.WithMaxRetries(0))
		s := a.streamChat(t.Context(), chatParams(), option.WithHeader("Fake-Fault", "cut=3"))
		// Nothing has been sent when the cut comes, so the status can report it.
		wantRelayError(t, s.err, 502, "upstream_interrupted", "500", "")
		a.wantRequests(t, 1)
	})
}
