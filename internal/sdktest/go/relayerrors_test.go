package sdktest

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"example.com/relay/core"
	"example.com/relay/internal/fakeopenai"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

func TestWrongToken(t *testing.T) {
	for name, opts := range map[string][]option.RequestOption{
		"none":          nil,
		"in the key":    {option.WithAPIKey("rt_wrong." + apiKey)},
		"in the header": {option.WithHeader("X-Relay-Token", "wrong"+canary)},
		"no key":        {option.WithAPIKey("")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := fakeopenai.StartUpstream(t)
			cfg := relayTo(u)
			cfg.AccessTokens = []core.Secret{token}
			r := startRelay(t, cfg)
			a := newAPI(u, r.url, opts...)
			_, err := a.Chat.Completions.New(t.Context(), chatParams())
			wantRelayError(t, err, 401, "invalid_access_token", "", "false")
			wantRelayError(t, a.streamChat(t.Context(), chatParams()).err, 401, "invalid_access_token", "", "false")
			r.wantHits(t, 2) // one each
			a.wantRequests(t, 0)
		})
	}
}

func TestBodyTooLarge(t *testing.T) {
	t.Parallel()
	u := fakeopenai.StartUpstream(t)
	cfg := relayTo(u)
	cfg.MaxBodyBytes = 64 << 10
	r := startRelay(t, cfg)
	a := newAPI(u, r.url)

	params := chatParams()
	params.Messages = []openai.ChatCompletionMessageParamUnion{openai.UserMessage(strings.Repeat(canary, 11<<10))}
	_, err := a.Chat.Completions.New(t.Context(), params)
	wantRelayError(t, err, 413, "body_too_large", "", "false")
	if f := failureOf(t, err); !strings.Contains(f.Message, "64 KiB") {
		t.Errorf("message = %q, want one that names the limit of 64 KiB", f.Message)
	}
	r.wantHits(t, 1)
	a.wantRequests(t, 0)

	_, err = a.Files.New(t.Context(), openai.FileNewParams{
		File:    openai.File(bytes.NewReader(fakeopenai.Pattern(5<<20)), canary+".bin", "application/octet-stream"),
		Purpose: openai.FilePurposeUserData,
	})
	wantRelayError(t, err, 413, "body_too_large", "", "false")
	r.wantHits(t, 2)
	a.wantRequests(t, 0)
}

// TestBodyTooLargeForARegion uploads through a gateway whose first region, or all of
// whose regions, accept smaller bodies only: the SDK makes one attempt.
func TestBodyTooLargeForARegion(t *testing.T) {
	t.Parallel()
	for _, limits := range [][]int64{{1 << 20, 32 << 20}, {1 << 20, 2 << 20}} {
		u := fakeopenai.StartUpstream(t)
		var urls []core.Secret
		for i, limit := range limits {
			cfg := relayTo(u)
			cfg.MaxBodyBytes = limit
			region := startRelay(t, cfg)
			urls = append(urls, core.Secret(region.url+"#"+string(rune('a'+i))))
		}
		gateway := startRelay(t, core.Config{Upstreams: urls, ProbeInterval: -1})
		a := newAPI(u, gateway.url)
		if limits[1] > 5<<20 {
			uploadFile(t, a, 5<<20)
			a.wantRequests(t, 1)
		} else {
			_, err := a.Files.New(t.Context(), openai.FileNewParams{
				File: openai.File(bytes.NewReader(fakeopenai.Pattern(5<<20)), canary+".bin",
					"application/octet-stream"),
				Purpose: openai.FilePurposeUserData,
			})
			wantRelayError(t, err, 413, "body_too_large", "", "false")
			a.wantRequests(t, 0)
		}
		gateway.wantHits(t, 1)
	}
}

// TestStreamedBodyTooLarge has a body of unknown length. The
// upstream must not see its end.
func TestStreamedBodyTooLarge(t *testing.T) {
	t.Parallel()
	u := fakeopenai.StartUpstream(t)
	cfg := relayTo(u)
	cfg.MaxBodyBytes = 64 << 10
	r := startRelay(t, cfg)
	a := newAPI(u, r.url)
	body := io.MultiReader(bytes.NewReader(fakeopenai.Pattern(65 << 10)))
	err := a.Post(t.Context(), "files", nil, nil, option.WithRequestBody("application/octet-stream", body))
	wantRelayError(t, err, 413, "body_too_large", "", "false")
	r.wantHits(t, 1)
	if req := u.Wait(t, 1); req.BodyErr == nil {
		t.Errorf("the upstream got a whole body of %d bytes, want it cut", len(req.Body))
	}
}

// refusing is a base URL where nothing listens: ports this low are never given to a
// server that requests a free one.
const refusing = "http://127.0.0.1:1"

// TestUpstreamDown counts three attempts, which the relay invites the SDK to make
// soon.
func TestUpstreamDown(t *testing.T) {
	t.Parallel()
	u := fakeopenai.StartUpstream(t)
	r := startRelay(t, core.Config{Upstreams: []core.Secret{core.Secret(refusing)}})
	a := newAPI(u, r.url)
	_, err := a.Chat.Completions.New(t.Context(), chatParams())
	wantRelayError(t, err, 502, "upstream_connect", "500", "")
	r.wantHits(t, 3)
	wantRelayError(t, a.streamChat(t.Context(), chatParams(), option.WithMaxRetries(0)).err, 502, "upstream_connect",
		"500", "")
	r.wantHits(t, 4)
}

// TestUnknownPath has the most common mistake: a base URL without /v1.
func TestUnknownPath(t *testing.T) {
	t.Parallel()
	u := fakeopenai.StartUpstream(t)
	r := startRelay(t, relayTo(u))
	a := newAPI(u, r.url, option.WithBaseURL(r.url))
	_, err := a.Chat.Completions.New(t.Context(), chatParams())
	wantRelayError(t, err, 404, "unknown_path", "", "false")
	if f := failureOf(t, err); !strings.Contains(f.Message, "/v1") {
		t.Errorf("message = %q, want one that names /v1", f.Message)
	}
	r.wantHits(t, 1)
	a.wantRequests(t, 0)
}

// TestLoop has an error that the SDK would retry without X-Should-Retry: false.
func TestLoop(t *testing.T) {
	t.Parallel()
	u := fakeopenai.StartUpstream(t)
	r := startRelay(t, relayTo(u))
	a := newAPI(u, r.url, option.WithHeader("Relay-Hop", "2"))
	_, err := a.Chat.Completions.New(t.Context(), chatParams())
	wantRelayError(t, err, 508, "relay_loop", "", "false")
	r.wantHits(t, 1)
	a.wantRequests(t, 0)
}

// wantRelayError fails the test unless err is an error that the relay made, in
// OpenAI's shape and without a secret.
func wantRelayError(t *testing.T, err error, status int, code, retryAfterMs, shouldRetry string) {
	t.Helper()
	f := failureOf(t, err)
	f.wantError(t, status, code)
	if f.Type != "relay_error" || f.Message == "" || f.RequestID == "" {
		t.Errorf("error = %+v, want a relay_error with message and request id", f)
	}
	if f.RetryAfterMs != retryAfterMs || f.ShouldRetry != shouldRetry {
		t.Errorf("Retry-After-Ms = %q and X-Should-Retry = %q, want %q and %q", f.RetryAfterMs, f.ShouldRetry,
			retryAfterMs, shouldRetry)
	}
	if strings.Contains(f.RawJSON, canary) {
		t.Errorf("the error holds a secret: %s", f.RawJSON)
	}
}
