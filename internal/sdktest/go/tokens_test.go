package sdktest

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"example.com/relay/core"
	"example.com/relay/internal/fakeopenai"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/realtime"
)

// inKey carries the token in the key.
var inKey = option.WithAPIKey("rt_" + token + "." + apiKey)

// TestNamedTokens has the errors of a token that the relay knows. The SDK asks once,
// and the upstream hears nothing.
func TestNamedTokens(t *testing.T) {
	for _, test := range []struct {
		name   string
		token  core.NamedToken
		status int
		code   string
	}{
		{"expired", core.NamedToken{Expires: time.Now().Add(-time.Second)}, 401, "token_expired"},
		{"path", core.NamedToken{Paths: []string{"/v1/models"}}, 403, "token_not_allowed"},
		{"method", core.NamedToken{Methods: []string{"GET"}}, 403, "token_not_allowed"},
		{"model", core.NamedToken{Models: []string{"gpt-other", "text-*"}}, 403, "token_not_allowed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			u := fakeopenai.StartUpstream(t)
			cfg := relayTo(u)
			test.token.Name, test.token.Token = "alice", token
			cfg.NamedTokens = []core.NamedToken{test.token}
			r := startRelay(t, cfg)
			a := newAPI(u, r.url, inKey)
			_, err := a.Chat.Completions.New(t.Context(), chatParams())
			wantRelayError(t, err, test.status, test.code, "", "false")
			wantRelayError(t, a.streamChat(t.Context(), chatParams()).err, test.status, test.code, "", "false")
			r.wantHits(t, 2) // one each
			a.wantRequests(t, 0)
		})
	}
}

// TestNamedTokenModel has a model that the token permits: chat, a stream, Responses,
// a form and Realtime.
func TestNamedTokenModel(t *testing.T) {
	t.Parallel()
	u := fakeopenai.StartUpstream(t)
	cfg := relayTo(u)
	cfg.NamedTokens = []core.NamedToken{{Name: "alice", Token: token, Models: []string{"gpt-*", "whisper-*"}}}
	r := startRelay(t, cfg)
	a := newAPI(u, r.url, inKey)
	if _, err := a.Chat.Completions.New(t.Context(), chatParams()); err != nil {
		t.Error(err)
	}
	if s := a.streamChat(t.Context(), chatParams()); s.err != nil || s.content != fakeopenai.Reply(prompt) {
		t.Errorf("stream: %q, %v", s.content, s.err)
	}
	if _, err := a.streamResponse(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := a.Models.List(t.Context()); err != nil {
		t.Error(err)
	}
	transcribe(t, a)
	echoRealtime(t, a)
	a.wantRequests(t, 6)
	_, err := a.Audio.Transcriptions.New(t.Context(), openai.AudioTranscriptionNewParams{
		File: openai.File(bytes.NewReader(fakeopenai.Pattern(777_777)), canary+".mp3", "audio/mpeg"), Model: "other",
	})
	wantRelayError(t, err, 403, "token_not_allowed", "", "false")
	_, err = a.Realtime.Connect(t.Context(), realtime.RealtimeConnectionOptions{}, option.WithQuery("model", "other"))
	if err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("Realtime with another model: %v, want a 403", err)
	}
	r.wantHits(t, 8)
}

// TestTokenRateLimited has a token that is over its rate: the SDK asks again when
// Retry-After-Ms says, and is served then.
func TestTokenRateLimited(t *testing.T) {
	t.Parallel()
	u := fakeopenai.StartUpstream(t)
	cfg := relayTo(u)
	cfg.NamedTokens = []core.NamedToken{{Name: "alice", Token: token, PerMinute: 20}} // after those one each 3 s
	r := startRelay(t, cfg)
	a := newAPI(u, r.url, inKey)
	var err error
	served := 0
	for ; err == nil && served < 30; served++ {
		_, err = a.Models.List(t.Context(), option.WithMaxRetries(0))
	}
	f := failureOf(t, err)
	f.wantError(t, 429, "token_rate_limited")
	if f.ShouldRetry != "" || f.RetryAfterMs == "" || !strings.Contains(f.Message, "per_minute") || served <= 20 {
		t.Errorf("request %d: %+v, want an error that may be retried", served, f)
	}
	hits := r.hits.Load()
	if _, err := a.Chat.Completions.New(t.Context(), chatParams()); err != nil {
		t.Errorf("after the pause: %v", err)
	}
	if asked := r.hits.Load() - hits; asked != 2 {
		t.Errorf("the SDK asked %d times, want twice", asked)
	}
	a.wantRequests(t, served) // the one that was refused, and the chat in its place
}
