package sdktest

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"example.com/relay/internal/fakeopenai"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
)

// A cut is a truncated stream.
type cut struct {
	fault  string
	events int // that are complete
}

var cuts = []cut{
	{"cut=0", 0},
	{"cut=1", 1},
	{"cut=2", 2},
	{"cut=3", 3},
	{"cut=4", 4},
	{"cut=5", 5},
	{"cut-line=0", 0},
	{"cut-line=3", 3},
	{"cut-utf8=0", 0},
	{"cut-utf8=3", 3},
	{"reset=0", 0},
	{"reset=3", 3},
	{"bad-chunk=0", 0},
	{"bad-chunk=3", 3},
	{"gzip cut=3", 3},
	{"comments cut=3", 2}, // the first that is missing is a BOM with a comment
	{"1xx=2 cut=3", 3},
}

func (c cut) option() option.RequestOption { return option.WithHeader("Fake-Fault", c.fault) }

// meetInChat streams a chat that is truncated, and returns what arrived.
func (c cut) meetInChat(t *testing.T, a *api) []openai.ChatCompletionChunk {
	s := a.streamChat(t.Context(), chatParams(), c.option())
	a.wantCut(t, s.err, len(s.chunks), c.events)
	return s.chunks
}

// meetInResponse is meetInChat for a response.
func (c cut) meetInResponse(t *testing.T, a *api) []string {
	events, err := readResponse(a.Responses.NewStreaming(t.Context(), responseParams(), c.option()))
	a.wantCut(t, err, len(events), c.events)
	return types(events)
}

// wantCut fails the test unless a stream ended with an error after its complete
// events, at the first attempt.
func (a *api) wantCut(t *testing.T, err error, events, want int) {
	t.Helper()
	if err == nil {
		t.Fatalf("the stream ended without an error after %d events", events)
	}
	if events != want {
		t.Errorf("the stream had %d events, want %d", events, want)
	}
	a.wantRequests(t, 1)
	if e, ok := errors.AsType[*ssestream.StreamError](err); ok &&
		!strings.Contains(string(e.Event.Data), `"upstream_interrupted"`) {
		t.Errorf("error event = %s, want one with the code upstream_interrupted", e.Event.Data)
	}
}

// TestCutTells has a cut between events, after which the relay can say in the
// stream what happened.
func TestCutTells(t *testing.T) {
	t.Parallel()
	u := fakeopenai.StartUpstream(t)
	r := startRelay(t, relayTo(u))
	s := newAPI(u, r.url).streamChat(t.Context(), chatParams(), option.WithHeader("Fake-Fault", "cut=3"))
	e, ok := errors.AsType[*ssestream.StreamError](s.err)
	if !ok || !strings.Contains(e.Message, "in the middle of this response") {
		t.Errorf("error = %v, want an error event that says what happened", s.err)
	}
	r.wantHits(t, 1)
}

// Streams that are truncated after their last event. The SDK reads no further than
// to a chat's [DONE]; a response's stream has none.
var (
	cutAfterChat     = cut{"no-done no-last-chunk", 1 + textEvents + 1}
	cutAfterResponse = cut{"no-last-chunk", len(responseEvents)}
)

// streamToDone streams a chat that is truncated after its [DONE].
func streamToDone(t *testing.T, a *api) streamed {
	s := a.streamChat(t.Context(), chatParams(), option.WithHeader("Fake-Fault", "no-last-chunk"))
	if s.err != nil || s.content != fakeopenai.Reply(prompt) {
		t.Errorf("content = %q with error %v, want all and none", s.content, s.err)
	}
	return s
}

// bodyCalls are calls whose responses are not event streams.
var bodyCalls = map[string]func(t *testing.T, a *api) error{
	"chat": func(t *testing.T, a *api) error {
		_, err := a.Chat.Completions.New(t.Context(), chatParams())
		return err
	},
	"models": func(t *testing.T, a *api) error {
		_, err := a.Models.List(t.Context())
		return err
	},
	"speech": func(t *testing.T, a *api) error {
		res, err := a.Audio.Speech.New(t.Context(), speechParams())
		return drain(res, err)
	},
	"file content": func(t *testing.T, a *api) error {
		res, err := a.Files.Content(t.Context(), "file-1")
		return drain(res, err)
	},
}

// bodyCuts truncate such a response.
var bodyCuts = []string{"cut=0", "cut=3", "reset=3", "bad-chunk=3", "no-last-chunk", "short-cl", "gzip cut=3"}

// TestCutBodies has truncated responses other than event streams.
func TestCutBodies(t *testing.T) {
	for name, call := range bodyCalls {
		for _, fault := range bodyCuts {
			runBoth(t, inProcess, name+" "+fault,
				func(t *testing.T, a *api) int { return meetCutBody(t, a, call, fault) })
		}
	}
}

// meetCutBody makes a call whose responses are all truncated, which must be an
// error, and returns the number of attempts.
func meetCutBody(t *testing.T, a *api, call func(t *testing.T, a *api) error, fault string) int {
	t.Helper()
	a.upstream.SetFault(func(*http.Request) string { return fault })
	if err := call(t, a); err == nil {
		t.Error("the SDK returned no error")
	}
	return a.upstream.Arrived()
}

func drain(res *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err
}
