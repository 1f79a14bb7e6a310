package sdktest

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"example.com/relay/core"
	"example.com/relay/internal/fakeopenai"
	"github.com/openai/openai-go/v3/option"
)

// TestAccessToken has each place in which a client may carry the token. The
// upstream must see the API key and nothing of the token.
func TestAccessToken(t *testing.T) {
	var (
		plain  = []core.Secret{token}
		hashed = []core.Secret{core.Secret(fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(token))))}
	)
	for _, test := range []struct {
		name string
		cfg  core.Config
		opts []option.RequestOption
		key  string // that the upstream sees
	}{
		{"in the key", core.Config{AccessTokens: plain}, with(option.WithAPIKey("rt_" + token + "." + apiKey)), apiKey},
		{"in the header", core.Config{AccessTokens: plain}, with(option.WithHeader("X-Relay-Token", token)), apiKey},
		{"in the header with prefix", core.Config{AccessTokens: plain},
			with(option.WithHeader("X-Relay-Token", "rt_"+token)), apiKey},
		{"hashed", core.Config{AccessTokens: hashed}, with(option.WithAPIKey("rt_" + token + "." + apiKey)), apiKey},
		{"second of two", core.Config{AccessTokens: slices.Concat([]core.Secret{"another"}, plain)},
			with(option.WithHeader("X-Relay-Token", token)), apiKey},
		{"where none is needed", core.Config{}, with(option.WithAPIKey("rt_" + token + "." + apiKey)), apiKey},
		{"held key", core.Config{AccessTokens: plain, APIKey: heldKey}, with(option.WithAPIKey("rt_" + token)),
			heldKey},
		{"held key, no prefix", core.Config{AccessTokens: plain, APIKey: heldKey}, with(option.WithAPIKey(token)),
			heldKey},
		{"held key, token in the header", core.Config{AccessTokens: plain, APIKey: heldKey},
			with(option.WithHeader("X-Relay-Token", token)), heldKey},
		{"held key, the client's organization", core.Config{AccessTokens: plain, APIKey: heldKey},
			with(option.WithAPIKey("rt_"+token), option.WithOrganization("org-client"),
				option.WithProject("proj-client")), heldKey},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			u := fakeopenai.StartUpstream(t)
			test.cfg.Upstreams = []core.Secret{core.Secret(u.URL)}
			r := startRelay(t, test.cfg)
			checkAccess(t, newAPI(u, r.url, test.opts...), test.key)
		})
	}
	t.Run("in the path", func(t *testing.T) {
		t.Parallel()
		u := fakeopenai.StartUpstream(t)
		cfg := relayTo(u)
		cfg.AccessTokens, cfg.PathTokens = plain, true
		r := startRelay(t, cfg)
		checkAccess(t, newAPI(u, r.url+"/t/"+token), apiKey)
	})
}

func with(opts ...option.RequestOption) []option.RequestOption { return opts }

// checkAccess calls by every transport that the SDK has and looks what the
// upstream saw.
func checkAccess(t *testing.T, a *api, key string) {
	t.Helper()
	if _, err := a.Chat.Completions.New(t.Context(), chatParams()); err != nil {
		t.Fatal(err)
	}
	if s := a.streamChat(t.Context(), chatParams()); s.err != nil || s.content != fakeopenai.Reply(prompt) {
		t.Fatalf("content = %q with error %v, want all and none", s.content, s.err)
	}
	echoRealtime(t, a)
	a.wantRequests(t, 3)
	for _, req := range a.upstream.Requests() {
		if got, want := req.Header["Authorization"], []string{"Bearer " + key}; !slices.Equal(got, want) {
			t.Errorf("%s: the upstream saw the Authorization %q, want %q", req.RequestURI, got, want)
		}
		if saw := fmt.Sprint(req.RequestURI, req.Header, string(req.Body)); strings.Contains(saw, token) {
			t.Errorf("%s: the upstream saw the access token: %s", req.RequestURI, saw)
		}
		if key == heldKey && (req.Header.Get("Openai-Organization") != "" || req.Header.Get("Openai-Project") != "") {
			t.Errorf("%s: the upstream saw the client's organization with the relay's key", req.RequestURI)
		}
	}
}
