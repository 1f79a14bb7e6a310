// Package gcf is the relay as a Google Cloud Function (2nd gen, which is Cloud
// Run): the HTTP function Relay. It is deployed as source, built by make dist
// into dist/gcf.zip, in which these files lie at the root and core beside them,
// as Google's Go buildpack wants it; the buildpack writes the program around
// it. Command gcf/cmd runs it on this machine.
//
// The functions framework serves it by net/http, so that streams and WebSockets
// pass unbuffered. This package adds what the framework lacks: truncated responses
// that look truncated (bridge.go), and a stop that drains streams (drain).
package gcf

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/GoogleCloudPlatform/functions-framework-go/functions"

	"example.com/relay/core"
)

// platform is what Cloud Functions are like. Requests that have waited too long
// end by the deadline that the framework puts into their context.
var platform = core.Platform{
	Name:         "Google Cloud Functions",
	MaxBodyBytes: 32 << 20,
	Serverless:   true,
}

const (
	// drainTime is how long streams may go on after SIGTERM. The relay takes up
	// to a second more to end them, and 10 seconds after SIGTERM comes SIGKILL.
	drainTime = 8 * time.Second

	// lastBytes is the time for net/http to write the end of the last response after
	// the handler has returned, which cannot be observed.
	lastBytes = 200 * time.Millisecond
)

func init() {
	relay := core.FromEnv(os.Environ(), platform)
	functions.HTTP("Relay", bridge(relay))
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	go func() {
		<-terminated
		signal.Stop(terminated) // a second signal ends the process at once
		drain(relay)
		os.Exit(0)
	}()
}

// drain lets streams finish for a while, and then ends them with an error
// event. The platform keeps new requests out.
func drain(relay *core.Relay) {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	_ = relay.Shutdown(ctx) // says whether something was left, which the log tells for each
	time.Sleep(lastBytes)
}
