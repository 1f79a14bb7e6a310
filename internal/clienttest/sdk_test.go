package clienttest

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"example.com/relay/internal/fakeopenai"
)

// An sdk is a case of sdk.mjs.
type sdk struct {
	name    string
	carrier string   // of the key
	request string   // that the upstream sees, twice
	env     []string // of the relay
	base    string   // path of the upstream's base URL
}

var sdks = []sdk{
	{name: "openai", carrier: "Authorization", request: "POST /v1/chat/completions"},
	{name: "agents", carrier: "Authorization", request: "POST /v1/responses"},
	{name: "aiSDK", carrier: "Authorization", request: "POST /v1/responses"},
	{name: "langchain", carrier: "Authorization", request: "POST /v1/chat/completions"},
	{name: "anthropic", carrier: "Authorization", request: "POST /v1/messages"},
	{name: "gemini", carrier: "Authorization", request: "POST /v1beta/openai/chat/completions",
		env: []string{"RELAY_PATHS=/v1beta/openai/"}},
	// The base path of the upstream, so that clients have the base URL of any other relay.
	{name: "azure", carrier: "Authorization", request: "POST /openai/v1/chat/completions", base: "/openai"},
	{name: "azureDeployments", carrier: "Api-Key",
		request: "POST /openai/deployments/gpt-5-mini/chat/completions?api-version=2024-10-21",
		env:     []string{"RELAY_PATHS=/openai/"}},
}

// sdkOutcome is what sdk.mjs prints.
type sdkOutcome struct {
	Whole, Streamed string
	Pieces          int
	Error           string
}

// callSDK runs a case of sdk.mjs, which must receive the whole of the upstream's reply,
// in as many pieces as the upstream sends.
func callSDK(t *testing.T, name, root string) {
	t.Helper()
	got := runSDK(t, name, root)
	if reply := fakeopenai.Reply(prompt); got != (sdkOutcome{reply, reply, 8, ""}) {
		t.Errorf("the SDK returned %+v, want %q twice, once in 8 pieces", got, reply)
	}
}

// runSDK runs a case of sdk.mjs.
func runSDK(t *testing.T, name, root string) sdkOutcome {
	t.Helper()
	program(t, "node_modules", "openai", "package.json")
	// Node has WebSockets without the flag from 22 on.
	printed := run(t, newHome(t), []string{"RELAY_ROOT=" + root, "RELAY_KEY=" + key, "RELAY_PROMPT=" + prompt},
		"node", "--experimental-websocket", program(t, "sdk.mjs"), name)
	var got sdkOutcome
	if err := json.Unmarshal([]byte(printed), &got); err != nil {
		t.Fatalf("sdk.mjs printed %q: %v", printed, err)
	}
	return got
}

func TestSDK(t *testing.T) {
	for _, c := range sdks {
		for _, r := range routes {
			t.Run(c.name+"/"+r.name, func(t *testing.T) {
				start := r.start
				r.start = func(t *testing.T, upstream string,
					env []string) string {
					return start(t, upstream+c.base, env)
				}
				s := newStack(t, r, c.env...)
				callSDK(t, c.name, s.root)
				seen := s.checkSeen(t, c.carrier, c.request)
				if len(seen) != 2 || len(withPrompt(seen)) != 2 ||
					!bytes.Contains(seen[1].Body, []byte(`"stream":true`)) {
					t.Errorf("the upstream saw %d requests, want two with the prompt, of which the second is to be "+
						"streamed", len(seen))
				}
			})
		}
	}
}

// TestAgentsWebSocket runs the Agents SDK's responses over a WebSocket, on platforms
// that have WebSockets.
func TestAgentsWebSocket(t *testing.T) {
	for _, r := range []route{relay, gateway} {
		t.Run(r.name, func(t *testing.T) {
			s := newStack(t, r)
			callSDK(t, "agentsWebSocket", s.root)
			creates := 0
			for _, seen := range s.checkSeen(t, "Authorization", "GET /v1/responses") {
				for _, message := range seen.Messages() {
					if strings.Contains(string(message), `"type":"response.create"`) {
						creates++
					}
				}
			}
			if creates != 2 {
				t.Errorf("the upstream saw %d response.create, want 2", creates)
			}
		})
	}
}

// TestSDKCut truncates a stream between the upstream and the relay: an SDK must throw,
// and not treat the part as the whole.
func TestSDKCut(t *testing.T) {
	for _, name := range []string{"openai", "agents", "aiSDK", "langchain", "anthropic"} {
		for _, r := range append(routes, cleanLambda) {
			t.Run(name+"/"+r.name, func(t *testing.T) {
				s := newStack(t, r)
				s.upstream.Script("", "cut=8")
				got := runSDK(t, name, s.root)
				reply := fakeopenai.Reply(prompt)
				if got.Whole != reply || got.Streamed == reply || !strings.HasPrefix(reply, got.Streamed) ||
					got.Error == "" {
					t.Errorf("the SDK returned %+v, want a part of %q and an error", got, reply)
				}
			})
		}
	}
}
