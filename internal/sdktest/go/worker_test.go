package sdktest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"

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

// bothOnWorker is both for a relay that is the Worker.
func bothOnWorker[T any](t *testing.T, call func(t *testing.T, a *api) T) {
	t.Helper()
	t.Parallel()
	bothBy(t, "worker", startWorker, call)
}

// TestWorker has what works, and what fails in the same way as without a relay.
func TestWorker(t *testing.T) {
	t.Run("chat", func(t *testing.T) { bothOnWorker(t, completeChat) })
	t.Run("chat stream", func(t *testing.T) { bothOnWorker(t, streamWholeChat) })
	t.Run("response", func(t *testing.T) { bothOnWorker(t, createResponse) })
	t.Run("response stream", func(t *testing.T) { bothOnWorker(t, streamWholeResponse) })
	t.Run("embeddings", func(t *testing.T) { bothOnWorker(t, embed) })
	t.Run("transcription", func(t *testing.T) { bothOnWorker(t, transcribe) })
	t.Run("file upload", func(t *testing.T) {
		bothOnWorker(t, func(t *testing.T, a *api) *openai.FileObject { return uploadFile(t, a, 8<<20) })
	})
	t.Run("speech", func(t *testing.T) { bothOnWorker(t, speak) })
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) { bothOnWorker(t, r.meet) })
	}
}

// TestWorkerCutStreams is TestCutStreams and TestCutAfterAll.
func TestWorkerCutStreams(t *testing.T) {
	for _, c := range append([]cut{cutBehindChat}, cuts...) {
		t.Run(fmt.Sprintf("chat %s", c.fault), func(t *testing.T) { bothOnWorker(t, c.meetInChat) })
	}
	for _, c := range append([]cut{cutBehindResponse}, cuts...) {
		t.Run(fmt.Sprintf("response %s", c.fault), func(t *testing.T) { bothOnWorker(t, c.meetInResponse) })
	}
}

// TestWorkerRealtime has WebSockets, which pass natively.
func TestWorkerRealtime(t *testing.T) {
	t.Run("echo", func(t *testing.T) {
		bothOnWorker(t, func(t *testing.T, a *api) any {
			echoRealtime(t, a)
			return nil
		})
	})
	for _, fault := range realtimeCuts {
		t.Run(fault, func(t *testing.T) {
			bothOnWorker(t, func(t *testing.T, a *api) any { return meetRealtimeCut(t, a, fault) })
		})
	}
}
