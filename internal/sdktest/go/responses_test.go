package sdktest

import (
	"context"
	"slices"
	"testing"

	"example.com/relay/internal/fakeopenai"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/responses"
)

func responseParams() responses.ResponseNewParams {
	return responses.ResponseNewParams{
		Model: "gpt-fake",
		Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(prompt)},
	}
}

// responseEvents are the types of a whole stream, in order.
var responseEvents = slices.Concat(
	[]string{"response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"},
	slices.Repeat([]string{"response.output_text.delta"}, textEvents),
	[]string{"response.output_text.done", "response.content_part.done", "response.output_item.done",
		"response.completed"},
)

type responseStream = ssestream.Stream[responses.ResponseStreamEventUnion]

func (a *api) streamResponse(ctx context.Context) ([]responses.ResponseStreamEventUnion, error) {
	return readResponse(a.Responses.NewStreaming(ctx, responseParams()))
}

func readResponse(stream *responseStream) ([]responses.ResponseStreamEventUnion, error) {
	defer stream.Close()
	var events []responses.ResponseStreamEventUnion
	for stream.Next() {
		events = append(events, stream.Current())
	}
	return events, stream.Err()
}

func createResponse(t *testing.T, a *api) *responses.Response {
	res, err := a.Responses.New(t.Context(), responseParams())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := res.OutputText(), fakeopenai.Reply(prompt); got != want {
		t.Errorf("output = %q, want %q", got, want)
	}
	return res
}

func streamWholeResponse(t *testing.T, a *api) []responses.ResponseStreamEventUnion {
	events, err := a.streamResponse(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for i, event := range events {
		if event.SequenceNumber != int64(i) {
			t.Errorf("event %d has the sequence number %d", i, event.SequenceNumber)
		}
		if event.Type == "response.output_text.delta" {
			text += event.Delta
		}
	}
	if got := types(events); !slices.Equal(got, responseEvents) {
		t.Errorf("event types = %q, want %q", got, responseEvents)
	}
	if want := fakeopenai.Reply(prompt); text != want {
		t.Errorf("accumulated text = %q, want %q", text, want)
	}
	return events
}

// TestResponseResumed requests the rest of a truncated stream.
func TestResponseResumed(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, a *api) []responses.ResponseStreamEventUnion {
		const last = 5
		params := responses.ResponseGetParams{StartingAfter: openai.Int(last)}
		// The SDK itself sends stream in a body of the GET, which servers ignore.
		events, err := readResponse(a.Responses.GetStreaming(t.Context(), "resp_1", params,
			option.WithQuery("stream", "true")))
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 || events[0].SequenceNumber != last+1 ||
			events[len(events)-1].Type != "response.completed" {
			t.Errorf("resumed after %d with %d events, want those from %d to the last", last, len(events), last+1)
		}
		return events
	})
}

// types returns the types of events.
func types(events []responses.ResponseStreamEventUnion) []string {
	var list []string
	for _, event := range events {
		list = append(list, event.Type)
	}
	return list
}
