package cloudflare

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"example.com/relay/internal/proc"
)

// A token with a list of models reaches the API with those only, and with the body as
// it was sent, whether its length is known or not, and to the second upstream if the first is down.
func TestModels(t *testing.T) {
	const token = "models-token-0123456789"
	long := `{"messages":["` + strings.Repeat("x", 3<<20) + `"],"model":"`
	for _, upstreams := range []string{"{upstream}", "http://" + proc.RefusingAddr(t) + "#first,{upstream}#second"} {
		var got string
		up := newFront(t, func(w http.ResponseWriter, req *http.Request) {
			b, _ := io.ReadAll(req.Body)
			got = string(b)
		}, `RELAY_ACCESS_TOKENS=[{"name":"alice","token":"`+token+`","models":["gpt-5-mini"]}]`,
			"RELAY_RESEND_AMBIGUOUS=true", "RELAY_UPSTREAMS="+upstreams)
		for _, test := range []struct {
			name, body string
			sized      bool
			status     int
		}{
			{"short", `{"model":"gpt-5-mini"}`, true, 200},
			{"short, length unknown", `{"model":"gpt-5-mini"}`, false, 200},
			{"long", long + `gpt-5-mini"}`, true, 200},
			{"long, length unknown", long + `gpt-5-mini"}`, false, 200},
			{"other", `{"model":"gpt-5"}`, true, 403},
			{"other, length unknown", `{"model":"gpt-5"}`, false, 403},
		} {
			got = ""
			body := io.Reader(strings.NewReader(test.body))
			if !test.sized {
				body = io.MultiReader(body)
			}
			res, answer := up.complete(t, "POST", "/v1/responses", body, "X-Relay-Token", token, "Content-Type",
				"application/json")
			if test.status == 403 {
				wantError(t, res, answer, 403, "token_not_allowed")
				test.body = ""
			}
			if res.StatusCode != test.status || got != test.body {
				t.Errorf("%s: %d %s, the upstream got %d bytes, want %d", test.name, res.StatusCode, answer, len(got),
					len(test.body))
			}
		}
	}
}
