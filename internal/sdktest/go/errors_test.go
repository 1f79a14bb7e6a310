package sdktest

import (
	"testing"

	"github.com/openai/openai-go/v3/option"
)

// A refusal is an error of the upstream, and the fault that causes it.
type refusal struct {
	name, fault string
	status      int
	code        string
}

var refusals = []refusal{
	{"bad request", "status=400", 400, ""},
	{"unauthorized", "status=401", 401, ""},
	{"forbidden", "status=403", 403, ""},
	{"region refused", "region-refused", 403, "unsupported_country_region_territory"},
	{"not found", "status=404", 404, ""},
	{"conflict", "status=409", 409, ""},
	{"unprocessable", "status=422", 422, ""},
	{"rate limit", "status=429 retry-after-ms=20 retry-after=1", 429, "rate_limit_exceeded"},
	{"server error", "status=500", 500, ""},
	{"overloaded", "status=503 retry-after=2", 503, ""},
}

// meet requests a chat and a streamed one, and returns their errors.
func (r refusal) meet(t *testing.T, a *api) []failure {
	once := []option.RequestOption{option.WithMaxRetries(0), option.WithHeader("Fake-Fault", r.fault)}
	_, err := a.Chat.Completions.New(t.Context(), chatParams(), once...)
	plain := failureOf(t, err)
	streamed := failureOf(t, a.streamChat(t.Context(), chatParams(), once...).err)
	for _, f := range []failure{plain, streamed} {
		f.wantError(t, r.status, r.code)
		if f.Message == "" || f.Type == "" || f.RequestID == "" {
			t.Errorf("error = %+v, want it with message, type and request id", f)
		}
	}
	a.wantRequests(t, 2)
	return []failure{plain, streamed}
}

func TestInvalidKey(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, a *api) failure {
		_, err := a.Models.List(t.Context(), option.WithAPIKey("sk-invalid-"+canary))
		f := failureOf(t, err)
		f.wantError(t, 401, "invalid_api_key")
		return f
	})
}

func TestUnknownModel(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, a *api) failure {
		_, err := a.Models.Get(t.Context(), "gpt-none")
		f := failureOf(t, err)
		f.wantError(t, 404, "model_not_found")
		return f
	})
}
