package sdktest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"example.com/relay/internal/fakeopenai"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
)

// TestEventsComeOneByOne has an upstream that falls silent after some events
// and waits until its client leaves: what has arrived by then was not held back
// for more. No event at all means that the header came at once.
func TestEventsComeOneByOne(t *testing.T) {
	for events := range 6 {
		silence := option.WithHeader("Fake-Fault", fmt.Sprintf("silence=%d", events))
		t.Run(fmt.Sprintf("chat %d", events), func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, a *api) any {
				readThenLeave(t, a, events, func(ctx context.Context) *ssestream.Stream[openai.ChatCompletionChunk] {
					return a.Chat.Completions.NewStreaming(ctx, chatParams(), silence)
				})
				return nil
			})
		})
		t.Run(fmt.Sprintf("response %d", events), func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, a *api) any {
				readThenLeave(t, a, events, func(ctx context.Context) *responseStream {
					return a.Responses.NewStreaming(ctx, responseParams(), silence)
				})
				return nil
			})
		})
		t.Run(fmt.Sprintf("gzip %d", events), func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, a *api) any {
				readThenLeave(t, a, events, func(ctx context.Context) *responseStream {
					return a.Responses.NewStreaming(ctx, responseParams(), silence, option.WithHeaderAdd("Fake-Fault", "gzip"))
				})
				return nil
			})
		})
	}
}

// readThenLeave reads as many events as the upstream sends, and cancels, which
// the upstream must notice.
func readThenLeave[T any](t *testing.T, a *api, events int, open func(context.Context) *ssestream.Stream[T]) {
	t.Helper()
	readThenCancel(t, a, events, open).WaitCanceled(t)
	a.wantRequests(t, 1)
}

// readThenCancel reads as many events as the upstream sends, sees that the
// upstream is not done, and cancels. It returns what the upstream saw.
func readThenCancel[T any](t *testing.T, a *api, events int, open func(context.Context) *ssestream.Stream[T]) *fakeopenai.Request {
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
		res, err := a.Audio.Speech.New(ctx, speechParams(), option.WithHeader("Fake-Fault", fmt.Sprintf("silence=%d", pieces)))
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

// TestAbort leaves at other moments, and in other ways.
func TestAbort(t *testing.T) {
	t.Run("before the header", func(t *testing.T) {
		t.Parallel()
		both(t, leaveBeforeHeader)
	})
	t.Run("by closing the stream", func(t *testing.T) {
		t.Parallel()
		both(t, closeStream)
	})
	t.Run("in the middle of an upload", func(t *testing.T) {
		t.Parallel()
		both(t, leaveUpload)
	})
	// After all that, the same client and the same relay work on.
	t.Run("and again", func(t *testing.T) {
		t.Parallel()
		both(t, leaveOften)
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

// closeStream closes a stream in its midst.
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
		done <- a.Post(ctx, "files", r, nil, option.WithRequestBody("application/octet-stream", r), option.WithMaxRetries(0))
	}()
	if _, err := w.Write(fakeopenai.Pattern(100_000)); err != nil {
		t.Fatal(err)
	}
	a.upstream.WaitArrived(t, 1)
	cancel()
	w.CloseWithError(ctx.Err()) // net/http waits for who reads a body
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want context.Canceled", err)
	}
	req := a.upstream.Wait(t, 1) // recorded when its body broke off
	req.WaitCanceled(t)
	if req.BodyErr == nil {
		t.Error("the upstream got the end of a body that has none")
	}
	a.upstream.Reset() // how much of it arrived is chance
	return nil
}

// leaveOften cancels one stream after the other, behind which the next call must
// be fine.
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
