package clienttest

import (
	"bytes"
	"fmt"
	"testing"
)

// An agent is a coding agent of agents/package.json.
type agent struct {
	name    string
	carrier string   // of the key
	paths   []string // that the upstream may see
	run     func(t *testing.T, home, root string) string
}

var agents = []agent{
	{"opencode", "Authorization", []string{"POST /v1/responses"}, runOpencode},
	{"qwen", "Authorization", []string{"POST /v1/chat/completions"}, runQwen},
	{"claude", "X-Api-Key", []string{"POST /v1/messages?beta=true"}, runClaude},
	{"cline", "Authorization", []string{"POST /v1/chat/completions"}, runCline},
}

func runOpencode(t *testing.T, home, root string) string {
	write(t, fmt.Sprintf(`{"model":"openai/gpt-5","provider":{"openai":{"options":{"baseURL":"%s/v1","apiKey":"%s"}}}}`,
		root, key), home, "work", "opencode.json")
	env := []string{"OPENCODE_DISABLE_AUTOUPDATE=1", "OPENCODE_DISABLE_MODELS_FETCH=1"}
	return run(t, home, env, program(t, "agents", "node_modules", "opencode-ai", "bin", "opencode"), "run", prompt)
}

func runQwen(t *testing.T, home, root string) string {
	env := []string{"OPENAI_BASE_URL=" + root + "/v1", "OPENAI_API_KEY=" + key, "OPENAI_MODEL=gpt-4o"}
	return run(t, home, env, program(t, "agents", "node_modules", ".bin", "qwen"), "--auth-type", "openai", "-p",
		prompt)
}

func runClaude(t *testing.T, home, root string) string {
	env := []string{"ANTHROPIC_BASE_URL=" + root, "ANTHROPIC_API_KEY=" + key,
		"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1"}
	return run(t, home, env, program(t, "agents", "node_modules", "@anthropic-ai", "claude-code", "claude"), "-p",
		prompt)
}

func runCline(t *testing.T, home, root string) string {
	cline := program(t, "agents", "node_modules", ".bin", "cline")
	run(t, home, nil, cline, "auth", "-p", "openai", "-b", root+"/v1", "-k", key, "-m", "gpt-4o")
	return run(t, home, nil, cline, prompt+" ") // without the space it would be a command
}

func TestAgents(t *testing.T) {
	for _, a := range agents {
		for _, r := range routes {
			t.Run(a.name+"/"+r.name, func(t *testing.T) {
				t.Parallel() // most of their time they wait for hosts that are not there
				s := newStack(t, r)
				wantReply(t, a.run(t, newHome(t), s.root))
				seen := s.checkSeen(t, a.carrier, a.paths...)
				for _, req := range withPrompt(seen) {
					if bytes.Contains(req.Body, []byte(`"stream":true`)) {
						return
					}
				}
				t.Errorf("the upstream saw %d requests, want the prompt in one that is to be streamed", len(seen))
			})
		}
	}
}
