package core

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretsAreNotPrinted(t *testing.T) {
	cfg := Config{APIKey: canaryKey, AccessTokens: []Secret{canaryToken}}
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%10.3s"} {
		fmt.Fprintf(&b, verb+verb+verb+verb, cfg, &cfg, cfg.APIKey, cfg.AccessTokens)
	}
	fmt.Fprint(&b, cfg.APIKey, cfg)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "cfg", cfg.APIKey, "tokens", cfg.AccessTokens)
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "cfg", cfg.APIKey, "tokens", cfg.AccessTokens)
	if err := json.NewEncoder(&b).Encode(map[string]any{"key": cfg.APIKey, "cfg": cfg.AccessTokens}); err != nil {
		t.Fatal(err)
	}
	hex := fmt.Sprintf("%x", canaryKey)
	for _, leak := range []string{canaryKey, canaryToken, hex, strings.ToUpper(hex), canaryKey[:3] + "C"} {
		if strings.Contains(b.String(), leak) {
			t.Errorf("found %q in %s", leak, b.String())
		}
	}
	if got := fmt.Sprint(Secret("")); got != "" {
		t.Errorf("an empty Secret prints %q", got)
	}
}
