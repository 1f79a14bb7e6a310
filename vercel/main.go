// Command vercel is the relay as a Vercel function in server mode: Vercel builds
// this folder as its Root Directory, starts the program next to a proxy of its
// own, and sends requests over HTTP to the port in PORT. vercel.json sets the
// max duration of a request, and where the function runs; .vercelignore, at the
// root of the repository, selects what is uploaded.
//
// Vercel's older mode, a Handler in api/, is not used: it buffers each response
// in memory, so nothing streams, a truncated response looks complete, and there
// are no WebSockets.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"example.com/relay/core"
	"example.com/relay/core/serve"
)

// platform describes Vercel.
var platform = core.Platform{
	Name:         "Vercel",
	MaxBodyBytes: 4_500_000,
	Serverless:   true,
}

// drainTimeout is how long streams may continue after SIGTERM.
const drainTimeout = 8 * time.Second

func main() {
	// net/http quotes what clients and upstreams sent, so it must not log. The
	// relay's own log has one line for each request.
	log.SetOutput(io.Discard)
	port := os.Getenv("PORT") // the platform's, not a setting of the relay
	if port == "" {
		fail(errors.New("PORT is not set: Vercel sets it; to run the relay elsewhere, use relay serve"))
	}
	ln, err := net.Listen("tcp", ":"+port)
	if err != nil {
		fail(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := run(ctx, ln, core.FromEnv(os.Environ(), platform)); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "vercel:", err)
	os.Exit(1)
}

// run serves relay on ln until ctx ends, and then gives streams drainTimeout to
// finish.
// (Vercel's proxy does not forward SIGTERM, and a function must not exit by
// itself; elsewhere the signal arrives.)
func run(ctx context.Context, ln net.Listener, relay *core.Relay) error {
	// No IdleTimeout: Vercel's proxy keeps connections for 90 s, and after a freeze
	// both ends' timeouts have expired at once, so that some POSTs (2 of 20,
	// measured) would be sent on a connection that was just closed and become a 502.
	server := serve.New(relay)
	if err := serve.Serve(ctx, server, relay, ln); err != nil {
		return err
	}
	_ = serve.Shutdown(server, relay, drainTimeout) // the log has a line for each stream that was cut
	return nil
}
