package sdktest

import (
	"context"
	"fmt"
	"testing"

	"example.com/relay/internal/fakeopenai"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// A way is a relay on a platform, with what the platform changes for clients.
type way struct {
	name  string
	serve func(t *testing.T, u *fakeopenai.Upstream) string // starts a relay to u and returns its URL, without "/v1"

	upload   int  // bytes of a file that the platform accepts
	chunked  bool // binary responses have no length
	identity bool // the relay requests streams without compression, so that it can write into them
	deaf     bool // the relay is not told that its client has disconnected
	serial   bool // tests cannot run in parallel
}

// inProcess is a relay in the test's process.
var inProcess = way{
	name:   "relayed",
	serve:  func(t *testing.T, u *fakeopenai.Upstream) string { return startRelay(t, relayTo(u)).url },
	upload: 5 << 20,
}

// runBoth runs [bothBy] as a subtest.
func runBoth[T any](t *testing.T, w way, name string, f func(t *testing.T, a *api) T) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		if !w.serial {
			t.Parallel()
		}
		bothBy(t, w, f)
	})
}

// testCalls makes calls that succeed, and calls that the upstream refuses.
func (w way) testCalls(t *testing.T) {
	runBoth(t, w, "chat", completeChat)
	runBoth(t, w, "chat stream", streamWholeChat)
	runBoth(t, w, "response", createResponse)
	runBoth(t, w, "response stream", streamWholeResponse)
	runBoth(t, w, "embeddings", embed)
	runBoth(t, w, "transcription", transcribe)
	runBoth(t, w, "file upload", func(t *testing.T, a *api) *openai.FileObject { return uploadFile(t, a, w.upload) })
	runBoth(t, w, "speech", func(t *testing.T, a *api) download {
		d := speak(t, a)
		if w.chunked {
			d.ContentLength = 0
		}
		return d
	})
	for _, r := range refusals {
		runBoth(t, w, r.name, r.meet)
	}
}

// testEvents has an upstream that falls silent after some events and waits until
// its client disconnects: what has arrived by then was not buffered. Without any
// event, it shows that the header came at once. format is the upstream's fault,
// with a verb for the number of events.
func (w way) testEvents(t *testing.T, format string) {
	for events := range 6 {
		fault := fmt.Sprintf(format, events)
		for name, open := range streams {
			runBoth(t, w, name+" "+fault, func(t *testing.T, a *api) any {
				req := readThenCancel(t, a, events, func(ctx context.Context) eventStream {
					return open(ctx, a, option.WithHeader("Fake-Fault", fault))
				})
				if !w.deaf {
					req.WaitCanceled(t)
				}
				a.wantRequests(t, 1)
				return nil
			})
		}
	}
}

// testCutStreams has streams that are truncated, which must never look complete.
func (w way) testCutStreams(t *testing.T) {
	for _, c := range append([]cut{cutAfterChat}, cuts...) {
		runBoth(t, w, "chat "+c.fault, c.meetInChat)
	}
	for _, c := range append([]cut{cutAfterResponse}, cuts...) {
		runBoth(t, w, "response "+c.fault, c.meetInResponse)
	}
	runBoth(t, w, "chat after [DONE]", streamToDone)
}

// testAborts has clients that disconnect at other moments than between events, and
// in other ways.
func (w way) testAborts(t *testing.T) {
	runBoth(t, w, "before the header", leaveBeforeHeader)
	runBoth(t, w, "by closing the stream", closeStream)
	runBoth(t, w, "in the middle of an upload", leaveUpload)
	runBoth(t, w, "many times", leaveOften)
}

// testRealtime has WebSockets, which either side may end.
func (w way) testRealtime(t *testing.T) {
	runBoth(t, w, "echo", echoRealtime)
	for _, fault := range []string{"cut=1", "reset=1"} {
		runBoth(t, w, fault, func(t *testing.T, a *api) any { return meetRealtimeCut(t, a, fault) })
	}
	runBoth(t, w, "left", leaveRealtime)
}

func TestCalls(t *testing.T)      { inProcess.testCalls(t) }
func TestCutStreams(t *testing.T) { inProcess.testCutStreams(t) }
func TestAborts(t *testing.T)     { inProcess.testAborts(t) }
func TestRealtime(t *testing.T)   { inProcess.testRealtime(t) }

func TestEventsComeOneByOne(t *testing.T) {
	inProcess.testEvents(t, "silence=%d")
	inProcess.testEvents(t, "gzip silence=%d")
}
