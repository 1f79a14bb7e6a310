package protocol_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"example.com/relay/core/protocol"
)

// The codes that the page and relay check tell apart are codes of relays.
func TestCodesThatOthersName(t *testing.T) {
	code := regexp.MustCompile(`["'.\s](relay_[a-z_]+|upstream_[a-z_]+|invalid_access_token|websocket_unsupported|` +
		`host_not_allowed|` +
		`platform_failed|all_regions_failed)["'\s:,]`)
	// What is no code of an error: words of the health check, its names and types.
	other := map[string]bool{
		"relay_error": true, "relay_status": true, "upstream_timeout": true, "upstream_unexpected_status": true,
		"upstream_unknown": true, // of relay check itself
	}
	named := 0
	for _, pattern := range []string{"../page/src/*.mjs", "../../cmd/relay/internal/check/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range code.FindAllStringSubmatch(string(text), -1) {
				if other[match[1]] || strings.HasSuffix(name, "_test.go") {
					continue
				}
				named++
				if _, ok := protocol.Meanings[match[1]]; !ok {
					t.Errorf("%s names %s, which no relay sends", name, match[1])
				}
			}
		}
	}
	if named < 5 {
		t.Errorf("found %d codes, want those of the page and of relay check", named)
	}
}
