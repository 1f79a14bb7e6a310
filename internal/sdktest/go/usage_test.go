package sdktest

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"example.com/relay/internal/fakeopenai"
)

// A spent is the usage that the SDK reports, or a log line has.
type spent struct {
	Usage     string `json:"usage"` // "unknown", or nothing
	Model     string `json:"model"`
	Input     int64  `json:"input_tokens"`
	Cached    int64  `json:"cached_tokens"`
	Output    int64  `json:"output_tokens"`
	Reasoning int64  `json:"reasoning_tokens"`
	Total     int64  `json:"total_tokens"`
}

func chatSpent(model string, u openai.CompletionUsage) spent {
	return spent{"", model, u.PromptTokens, u.PromptTokensDetails.CachedTokens, u.CompletionTokens,
		u.CompletionTokensDetails.ReasoningTokens, u.TotalTokens}
}

func responseSpent(r responses.Response) spent {
	return spent{"", r.Model, r.Usage.InputTokens, r.Usage.InputTokensDetails.CachedTokens, r.Usage.OutputTokens,
		r.Usage.OutputTokensDetails.ReasoningTokens, r.Usage.TotalTokens}
}

// identity keeps Go's transport from requesting compression.
var identity = option.WithHeader("Accept-Encoding", "identity")

// TestUsage has what the relay logs equal to what the SDK reports.
func TestUsage(t *testing.T) {
	for _, test := range []struct {
		name string
		call func(t *testing.T, a *api) spent
	}{
		{"chat", func(t *testing.T, a *api) spent {
			res, err := a.Chat.Completions.New(t.Context(), chatParams(), identity)
			if err != nil {
				t.Fatal(err)
			}
			return chatSpent(res.Model, res.Usage)
		}},
		{"chat stream", func(t *testing.T, a *api) spent {
			params := chatParams()
			params.StreamOptions.IncludeUsage = openai.Bool(true)
			chunks := a.streamChat(t.Context(), params, option.WithHeader("Fake-Fault", "events=300")).chunks
			last := chunks[len(chunks)-1]
			return chatSpent(last.Model, last.Usage)
		}},
		{"chat stream without usage", func(t *testing.T, a *api) spent {
			if s := a.streamChat(t.Context(), chatParams()); s.err != nil {
				t.Fatal(s.err)
			}
			return spent{Usage: "unknown"}
		}},
		{"response", func(t *testing.T, a *api) spent {
			res, err := a.Responses.New(t.Context(), responseParams(), identity)
			if err != nil {
				t.Fatal(err)
			}
			return responseSpent(*res)
		}},
		{"response stream", func(t *testing.T, a *api) spent {
			events, err := a.streamResponse(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return responseSpent(events[len(events)-1].Response)
		}},
		{"embedding", func(t *testing.T, a *api) spent {
			res, err := a.Embeddings.New(t.Context(), openai.EmbeddingNewParams{
				Model: "embed-fake", Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String(prompt)},
			}, identity)
			if err != nil {
				t.Fatal(err)
			}
			return spent{Model: res.Model, Input: res.Usage.PromptTokens, Total: res.Usage.TotalTokens}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			u := fakeopenai.StartUpstream(t)
			cfg := relayTo(u)
			cfg.LogUsage = true
			r := startRelay(t, cfg)
			want := test.call(t, newAPI(u, r.url))
			if want.Usage == "" && (want.Model == "" || want.Input == 0 || want.Total == 0) {
				t.Fatalf("the SDK reports %+v", want)
			}
			if got := r.logged(t); !reflect.DeepEqual(got, want) {
				t.Errorf("logged %+v, want what the SDK reports, %+v", got, want)
			}
		})
	}
}

// logged returns the usage in the log line of the only request.
func (r *relay) logged(t *testing.T) (got spent) {
	t.Helper()
	for start := time.Now(); !strings.Contains(r.log.String(), `"msg":"request"`); time.Sleep(time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			t.Fatal("no request was logged")
		}
	}
	if err := json.Unmarshal([]byte(r.log.String()), &got); err != nil {
		t.Fatal(err)
	}
	return got
}
