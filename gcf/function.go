// Package gcf is the relay as a Google Cloud Function (2nd gen, which is Cloud
// Run): the HTTP function Relay. It is deployed as source: make dist writes
// dist/gcf.zip with these files at the root and core next to them, as Google's Go
// buildpack requires, and the buildpack generates the main package. Command gcf/cmd
// runs the function locally.
//
// The functions framework serves it with net/http, so streams and WebSockets pass
// unbuffered. This package adds what the framework lacks: truncated responses that
// look truncated (bridge.go), and a shutdown that drains streams (drain).
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

// platform describes Cloud Functions. The framework sets the platform's timeout as
// the deadline of each request's context, so requests end before it.
var platform = core.Platform{
	Name:         "Google Cloud Functions",
	MaxBodyBytes: 32 << 20,
	Serverless:   true,
}

const (
	// drainTimeout is how long streams may continue after SIGTERM. The relay takes
	// up to a second more to end them; SIGKILL follows 10 seconds after SIGTERM.
	drainTimeout = 8 * time.Second

	// flushTimeout is the time for net/http to write the end of the last response
	// after its handler has returned, which cannot be observed.
	flushTimeout = 200 * time.Millisecond
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

// drain gives streams drainTimeout to finish and ends the rest with an error event.
// The platform sends no new requests.
func drain(relay *core.Relay) {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	_ = relay.Shutdown(ctx) // an error means that streams were cut; the log has a line for each
	time.Sleep(flushTimeout)
}
