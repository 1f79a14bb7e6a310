// Command vercel is the relay as a Vercel function in server mode: Vercel builds
// this folder as its Root Directory, starts the program beside a proxy of its
// own, and hands requests over by HTTP on the port that PORT names. vercel.json
// says how long a request may take, and where the function runs; .vercelignore,
// at the root of the repository, what is uploaded.
//
// Vercel's older mode, a Handler in api/, is not used: it collects each answer
// in memory, so nothing streams, a broken answer looks complete, and there are
// no WebSockets.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"example.com/relay/core"
)

// platform is what Vercel is like.
var platform = core.Platform{
	Name:         "Vercel",
	MaxBodyBytes: 4_500_000,
	Serverless:   true,
}

// drainTime is how long streams may go on after SIGTERM.
const drainTime = 10 * time.Second

func main() {
	// net/http quotes what clients and upstreams sent, so it may not log. The
	// relay's records say what is of interest.
	log.SetOutput(io.Discard)
	port := os.Getenv("PORT") // the platform's, not a setting of the relay
	if port == "" {
		fail(errors.New("PORT is not set, which Vercel does; relay serve is for other places"))
	}
	ln, err := net.Listen("tcp", ":"+port)
	if err != nil {
		fail(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, ln, core.FromEnv(os.Environ(), platform)); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "vercel:", err)
	os.Exit(1)
}

// serve serves relay on ln until ctx ends. Then it takes no new connections and
// lets streams finish for a while. (Vercel's proxy does not pass SIGTERM on, and
// a function must not end by itself; elsewhere the signal comes.)
func serve(ctx context.Context, ln net.Listener, relay *core.Relay) error {
	server := &http.Server{
		Handler:           relay,
		ReadHeaderTimeout: 10 * time.Second,
		// No WriteTimeout, which would end every stream: each write has its own.
		// No IdleTimeout: Vercel's proxy keeps connections for 90 s, and after a
		// freeze both ends' times are over at once, so that some POSTs would meet
		// a connection just closed (2 of 20, measured) and become a 502.
		// Above the relay's own limit of 64 KiB, so that the relay itself
		// answers most headers that are too large.
		MaxHeaderBytes: 128 << 10,
		// net/http would answer OPTIONS * by itself.
		DisableGeneralOptionsHandler: true,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(relay.Listen(server, ln)) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain(server, relay)
	return nil
}

// drain stops server, lets streams finish for a while, and then ends them with
// an error event.
func drain(server *http.Server, relay *core.Relay) {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	closed := make(chan error, 1)
	go func() { closed <- server.Shutdown(ctx) }()
	if relay.Shutdown(ctx) == nil {
		<-closed // it still writes the ends of the last answers
	}
	_ = server.Close()
}
