package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"example.com/relay/core"
)

func TestTokenNew(t *testing.T) {
	form := regexp.MustCompile(`^token:     ([0-9a-f]{64})\nhash:      sha256:([0-9a-f]{64})\nsetting:   ` +
		`(RELAY_ACCESS_TOKENS=.*)\n` +
		`terraform: tokens = \{ (.*) = \{ sha256 = "([0-9a-f]{64})" \} \}\n$`)
	seen := make(map[string]bool)
	for name, key := range map[string]string{
		"alice": "alice", "ci-bot_2": "ci-bot_2", "a@b.example": `"a@b.example"`, "7up": `"7up"`,
		strings.Repeat("a", 64): strings.Repeat("a", 64),
	} {
		var stdout, stderr bytes.Buffer
		status := run(t.Context(), []string{"token", "new", name}, nil, &stdout, &stderr)
		got := form.FindStringSubmatch(stdout.String())
		if status != exitOK || got == nil || stderr.Len() > 0 {
			t.Fatalf("%s: status %d, stdout %q, stderr %q", name, status, &stdout, &stderr)
		}
		token, hash := got[1], got[2]
		if fmt.Sprintf("%x", sha256.Sum256([]byte(token))) != hash || got[4] != key || got[5] != hash || seen[token] {
			t.Errorf("%s: %s", name, &stdout)
		}
		seen[token] = true
		cfg, err := core.ParseEnv([]string{got[3]})
		if err != nil || len(cfg.NamedTokens) != 1 || cfg.NamedTokens[0].Name != name ||
			string(cfg.NamedTokens[0].Token) != "sha256:"+hash {
			t.Errorf("%s: the setting is %v, %v", name, cfg.NamedTokens, err)
		}
	}
}

func TestTokenUsage(t *testing.T) {
	for _, args := range [][]string{{"token"}, {"token", "new"}, {"token", "old", "a"}, {"token", "new", "a", "b"},
		{"token", "new", "a b"},
		{"token", "new", ""}, {"token", "new", "-a"}, {"token", "new", "a\n"}, {"token", "new", `a"b`},
		{"token", "new", strings.Repeat("a", 65)}} {
		var stdout, stderr bytes.Buffer
		if status := run(t.Context(), args, nil, &stdout, &stderr); status != exitUsage || stdout.Len() > 0 ||
			stderr.Len() == 0 {
			t.Errorf("%q: status %d, stdout %q, stderr %q", args, status, &stdout, &stderr)
		}
	}
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"token", "-h"}, nil, &stdout, &stderr); status != exitOK ||
		stdout.String() != tokenUsage {
		t.Errorf("-h: status %d, %q", status, &stdout)
	}
}
