package sdktest

import (
	"strings"
	"testing"

	"example.com/relay/cloudflare"
	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/workerd"
)

// The tests of this file run on the Worker, on Cloudflare's own runtime.

// startWorker serves the Worker as a relay to u until the test ends. Then it fails
// the test if the log holds a secret.
func startWorker(t *testing.T, u *fakeopenai.Upstream) string {
	t.Helper()
	module, err := cloudflare.Module()
	if err != nil {
		t.Fatal(err)
	}
	w := workerd.Serve(t, workerd.Worker{
		Module:   module,
		Bindings: map[string]string{"RELAY_UPSTREAMS": u.URL, "RELAY_LOG_LEVEL": "debug"},
	})
	t.Cleanup(func() {
		if strings.Contains(w.Log(), canary) {
			t.Errorf("the Worker's log holds a secret:\n%s", w.Log())
		}
	})
	return w.URL
}

// worker is the way through the Worker.
var worker = way{name: "worker", serve: startWorker, upload: 8 << 20}

func TestWorker(t *testing.T)           { worker.testCalls(t) }
func TestWorkerCutStreams(t *testing.T) { worker.testCutStreams(t) }
func TestWorkerRealtime(t *testing.T)   { worker.testRealtime(t) }
