package cloudflare

import (
	"strings"
	"testing"

	"example.com/relay/internal/contract"
	"example.com/relay/internal/workerd"
)

// A runtime is a date and a name under which people run the file.
type runtime struct{ name, date, module string }

// runtimes are an old Worker's, and what the dashboard gives today; as a Worker,
// and as a Pages project's.
var runtimes = []runtime{
	{"worker", "2026-11-01", "worker.js"},
	{"old worker", "2024-09-23", "worker.js"},
	{"pages", "2026-11-01", "_worker.js"},
	{"old pages", "2024-09-23", "_worker.js"},
}

func TestAdapter(t *testing.T) {
	for _, rt := range runtimes {
		t.Run(rt.name, func(t *testing.T) {
			options := []contract.Option{contract.Resetting(),
				contract.Without(contract.Refusals, "fetch fails in one way for all")}
			if rt.name == "worker" {
				options = append(options, contract.As("Cloudflare Workers"))
			}
			contract.TestAdapter(t, func(t *testing.T, environ []string) string {
				return serve(t, rt.module, rt.date, environ...).URL
			}, options...)
		})
	}
}

// serve serves the module, with the page in it, with the settings in environ.
func serve(t testing.TB, name, date string, environ ...string) *workerd.Tested {
	t.Helper()
	module, err := Module()
	if err != nil {
		t.Fatal(err)
	}
	bindings := make(map[string]string)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		bindings[name] = value
	}
	return workerd.Serve(t, workerd.Worker{Module: module, Name: name, Date: date, Bindings: bindings})
}
