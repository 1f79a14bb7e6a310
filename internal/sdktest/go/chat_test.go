package sdktest

import (
	"context"
	"strings"
	"testing"

	"example.com/relay/internal/fakeopenai"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// textEvents is how many events of text a stream of the upstream has.
const textEvents = 8

func chatParams() openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model:    "gpt-fake",
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(prompt)},
	}
}

// streamed is what came of a chat completion that was streamed.
type streamed struct {
	chunks  []openai.ChatCompletionChunk
	content string
	err     error
}

func (a *api) streamChat(ctx context.Context, params openai.ChatCompletionNewParams,
	opts ...option.RequestOption) streamed {
	stream := a.Chat.Completions.NewStreaming(ctx, params, opts...)
	defer stream.Close()
	var s streamed
	var acc openai.ChatCompletionAccumulator
	for stream.Next() {
		s.chunks = append(s.chunks, stream.Current())
		acc.AddChunk(stream.Current())
	}
	if len(acc.Choices) > 0 {
		s.content = acc.Choices[0].Message.Content
	}
	s.err = stream.Err()
	return s
}

func completeChat(t *testing.T, a *api) *openai.ChatCompletion {
	res, err := a.Chat.Completions.New(t.Context(), chatParams())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := res.Choices[0].Message.Content, fakeopenai.Reply(prompt); got != want {
		t.Errorf("content = %q, want %q", got, want)
	}
	a.wantRequests(t, 1)
	return res
}

func streamWholeChat(t *testing.T, a *api) streamed {
	params := chatParams()
	params.StreamOptions.IncludeUsage = openai.Bool(true)
	s := a.streamChat(t.Context(), params)
	if s.err != nil {
		t.Fatal(s.err)
	}
	// The role comes before the text, the finish reason and the usage after it.
	if got, want := len(s.chunks), 1+textEvents+2; got != want {
		t.Errorf("the stream had %d chunks, want %d", got, want)
	}
	if want := fakeopenai.Reply(prompt); s.content != want {
		t.Errorf("accumulated content = %q, want %q", s.content, want)
	}
	if got := s.chunks[len(s.chunks)-1].Usage.CompletionTokens; got != textEvents {
		t.Errorf("usage of the last chunk = %d tokens, want %d", got, textEvents)
	}
	a.wantRequests(t, 1)
	return s
}

// TestChatStreamShapes has streams that are whole, but not as plain as most.
func TestChatStreamShapes(t *testing.T) {
	for _, fault := range []string{
		"events=300", "big-event=1000000", "byte-writes", "comments", "gzip", "gzip byte-writes", "trailers", "1xx=3",
		"no-done",
	} {
		runBoth(t, inProcess, fault, func(t *testing.T, a *api) streamed {
			s := a.streamChat(t.Context(), chatParams(), option.WithHeader("Fake-Fault", fault))
			if s.err != nil {
				t.Fatal(s.err)
			}
			if !strings.HasPrefix(s.content, "Backwards → ") ||
				s.chunks[len(s.chunks)-1].Choices[0].FinishReason != "stop" {
				t.Errorf("the stream is incomplete: %d chunks, content %.60q", len(s.chunks), s.content)
			}
			return s
		})
	}
}
