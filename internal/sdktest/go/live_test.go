package sdktest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"example.com/relay/internal/fakeopenai"
	"github.com/openai/openai-go/v3/option"
)

// An eventStream is an [ssestream.Stream] of any type of event.
type eventStream interface {
	Next() bool
	Err() error
	Close() error
}

// streams are the calls whose responses are event streams.
var streams = map[string]func(ctx context.Context, a *api, opts ...option.RequestOption) eventStream{
	"chat": func(ctx context.Context, a *api, opts ...option.RequestOption) eventStream {
		return a.Chat.Completions.NewStreaming(ctx, chatParams(), opts...)
	},
	"response": func(ctx context.Context, a *api, opts ...option.RequestOption) eventStream {
		return a.Responses.NewStreaming(ctx, responseParams(), opts...)
	},
}

// readThenCancel reads as many events as the upstream sends, sees that the
// upstream is not done, and cancels. It returns what the upstream saw.
func readThenCancel(t *testing.T, a *api, events int, open func(context.Context) eventStream) *fakeopenai.Request {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream := open(ctx)
	defer stream.Close()
	for i := range events {
		if !stream.Next() {
			t.Fatalf("the stream ended before event %d: %v", i+1, stream.Err())
		}
	}
	req := a.upstream.Wait(t, 1)
	select {
	case <-req.Done:
		t.Fatal("the upstream was done before its client left")
	default:
	}
	cancel()
	if stream.Next() || !errors.Is(stream.Err(), context.Canceled) {
		t.Errorf("after the cancel, error = %v, want context.Canceled", stream.Err())
	}
	return req
}

// TestSpeechComesAtOnce is TestEventsComeOneByOne for a binary stream.
func TestSpeechComesAtOnce(t *testing.T) {
	t.Parallel()
	const piece, pieces = 2 << 10, 3
	both(t, func(t *testing.T, a *api) download {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		res, err := a.Audio.Speech.New(ctx, speechParams(),
			option.WithHeader("Fake-Fault", fmt.Sprintf("silence=%d", pieces)))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, piece*pieces), res.Body}
		d := read(t, res, piece*pieces)
		a.upstream.Wait(t, 1).WaitCanceled(t) // read closed the body
		return d
	})
}

// leaveBeforeHeader cancels a call that has no response yet.
func leaveBeforeHeader(t *testing.T, a *api) any {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := a.Chat.Completions.New(ctx, chatParams(), option.WithHeader("Fake-Fault", "hang"))
		done <- err
	}()
	req := a.upstream.Wait(t, 1)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want context.Canceled", err)
	}
	req.WaitCanceled(t)
	a.wantRequests(t, 1)
	return nil
}

// closeStream closes a stream in the middle.
func closeStream(t *testing.T, a *api) any {
	stream := a.Chat.Completions.NewStreaming(t.Context(), chatParams(), option.WithHeader("Fake-Fault", "silence=2"))
	if !stream.Next() {
		t.Fatal(stream.Err())
	}
	if err := stream.Close(); err != nil {
		t.Error(err)
	}
	a.upstream.Wait(t, 1).WaitCanceled(t)
	return nil
}

// leaveUpload cancels a call whose body is still on its way.
func leaveUpload(t *testing.T, a *api) any {
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error)
	go func() {
		// With a body of its own, the SDK does not read all of it first.
		done <- a.Post(ctx, "files", r, nil, option.WithRequestBody("application/octet-stream", r),
			option.WithMaxRetries(0))
	}()
	if _, err := w.Write(fakeopenai.Pattern(100_000)); err != nil {
		t.Fatal(err)
	}
	a.upstream.WaitArrived(t, 1)
	cancel()
	w.CloseWithError(ctx.Err()) // net/http waits until the body is no longer read
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want context.Canceled", err)
	}
	req := a.upstream.Wait(t, 1) // recorded when its body was cut
	req.WaitCanceled(t)
	if req.BodyErr == nil {
		t.Error("the upstream got the end of a body that has none")
	}
	a.upstream.Reset() // how much of it arrived is chance
	return nil
}

// leaveOften cancels one stream after the other, after which the next call must
// succeed.
func leaveOften(t *testing.T, a *api) any {
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		stream := a.Chat.Completions.NewStreaming(ctx, chatParams(), option.WithHeader("Fake-Fault", "silence=1"))
		if !stream.Next() {
			t.Fatal(stream.Err())
		}
		cancel()
		if err := stream.Close(); err != nil {
			t.Error(err)
		}
	}
	if s := a.streamChat(t.Context(), chatParams()); s.err != nil || s.content != fakeopenai.Reply(prompt) {
		t.Errorf("content = %q with error %v, want all and none", s.content, s.err)
	}
	return nil
}
