package clienttest

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// codexBuiltIn is the configuration of docs/clients.md: Codex's own provider,
// which tries a WebSocket first.
const codexBuiltIn = `openai_base_url = "%s/v1"
`

// codexProvider is the one for HTTP only.
const codexProvider = `model_provider = "relay"

[model_providers.relay]
name = "relay"
base_url = "%s/v1"
env_key = "OPENAI_API_KEY"
wire_api = "responses"
`

// runCodex returns what Codex prints on the prompt. env is the variable for the key.
func runCodex(t *testing.T, s *stack, config, env string) string {
	t.Helper()
	codex := program(t, "node_modules", ".bin", "codex")
	home := newHome(t)
	write(t, fmt.Sprintf(config, s.root), home, ".codex", "config.toml")
	return run(t, home, []string{env}, codex, "exec", "--skip-git-repo-check", "--json", prompt)
}

// codexExec has Codex print the upstream's reply, without a second attempt.
func codexExec(t *testing.T, s *stack, config, env string) {
	t.Helper()
	printed := runCodex(t, s, config, env)
	wantReply(t, printed)
	if !strings.Contains(printed, `"type":"turn.completed"`) || strings.Contains(printed, "Reconnecting") {
		t.Errorf("Codex printed\n%s\nwant a turn that is completed at the first attempt", printed)
	}
}

func TestCodexWebSocket(t *testing.T) {
	for _, r := range []route{relay, gateway} {
		t.Run(r.name, func(t *testing.T) {
			s := newStack(t, r)
			codexExec(t, s, codexBuiltIn, "CODEX_API_KEY="+key)
			seen := s.checkSeen(t, "Authorization", "GET /v1/responses")
			if len(seen) != 1 {
				t.Fatalf("the upstream saw %d requests, want one WebSocket", len(seen))
			}
			messages := bytes.Join(seen[0].Messages(), []byte("\n"))
			if !bytes.Contains(messages, []byte(`"type":"response.create"`)) ||
				!bytes.Contains(messages, []byte(prompt)) {
				t.Errorf("the upstream saw the messages %.2000s, want the prompt in a response.create", messages)
			}
		})
	}
}

// TestCodexFallsBack uses a platform without WebSockets: after one 426 Codex continues
// over HTTP; after a 404 it makes seven attempts.
func TestCodexFallsBack(t *testing.T) {
	s := newStack(t, lambda)
	codexExec(t, s, codexBuiltIn, "CODEX_API_KEY="+key)
	s.checkSeen(t, "Authorization", "POST /v1/responses")
	came := s.front.arrivals()
	if len(came) < 2 || !came[0].upgrade || came[0].uri != "/v1/responses" {
		t.Fatalf("the function URL got %v, want an upgrade and then POSTs", came)
	}
	for _, a := range came[1:] {
		if a.upgrade || a.method != "POST" {
			t.Errorf("the function URL got %v, want one upgrade only, and then POSTs", came)
		}
	}
	took := came[1].at.Sub(came[0].at)
	fmt.Fprintf(os.Stdout, "codex on Lambda: %v from the refused upgrade to the first POST\n",
		took.Round(time.Millisecond))
	if took > 30*time.Second { // the machine may be busy, not idle
		t.Errorf("the first POST came %v after the upgrade", took)
	}
}

func TestCodexHTTP(t *testing.T) {
	for _, r := range routes {
		t.Run(r.name, func(t *testing.T) {
			s := newStack(t, r)
			codexExec(t, s, codexProvider, "OPENAI_API_KEY="+key)
			seen := s.checkSeen(t, "Authorization", "POST /v1/responses")
			if len(withPrompt(seen)) == 0 || !bytes.Contains(seen[0].Body, []byte(`"stream":true`)) {
				t.Errorf("the upstream saw %d requests, want the prompt in one that is to be streamed", len(seen))
			}
			for _, a := range s.front.arrivals() {
				if a.upgrade {
					t.Errorf("Codex sent %v, want no upgrade", a)
				}
			}
		})
	}
}

// TestCodexTokens sends the token in the other places that are allowed.
func TestCodexTokens(t *testing.T) {
	for _, test := range []struct {
		name, config string
		env          string // of Codex
		relayEnv     []string
		request      string
	}{
		{"in a header", codexProvider + `http_headers = { "X-Relay-Token" = "` + token + `" }` + "\n",
			"OPENAI_API_KEY=" + apiKey, nil, "POST /v1/responses"},
		{"in the path", strings.Replace(codexBuiltIn, "/v1", "/t/"+token+"/v1", 1), "CODEX_API_KEY=" + apiKey,
			[]string{"RELAY_PATH_TOKENS=true"}, "GET /v1/responses"},
		{"for a key that the relay holds", codexProvider, "OPENAI_API_KEY=rt_" + token,
			[]string{"RELAY_API_KEY=" + apiKey}, "POST /v1/responses"},
		{"for a key that the relay holds, WebSocket", codexBuiltIn, "CODEX_API_KEY=rt_" + token,
			[]string{"RELAY_API_KEY=" + apiKey}, "GET /v1/responses"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStack(t, relay, test.relayEnv...)
			codexExec(t, s, test.config, test.env)
			s.checkSeen(t, "Authorization", test.request)
		})
	}
}

// TestCodexCut truncates a stream between the upstream and the relay: Codex must
// notice, retry, and print the whole reply.
func TestCodexCut(t *testing.T) {
	for _, r := range routes {
		t.Run(r.name, func(t *testing.T) {
			s := newStack(t, r)
			s.upstream.Script("cut=6")
			printed := runCodex(t, s, codexProvider, "OPENAI_API_KEY="+key)
			wantReply(t, printed)
			if !strings.Contains(printed, "Reconnecting... 1/") {
				t.Errorf("Codex printed\n%s\nwant that it reconnects", printed)
			}
			if seen := s.checkSeen(t, "Authorization", "POST /v1/responses"); len(seen) != 2 {
				t.Errorf("the upstream saw %d requests, want the truncated one and another", len(seen))
			}
		})
	}
}
