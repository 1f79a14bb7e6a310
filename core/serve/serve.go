// Package serve runs a relay in a program that listens itself: the HTTP server
// with the relay's limits, and its graceful stop.
package serve

import (
	"context"
	"net"
	"net/http"
	"time"

	"example.com/relay/core"
)

// maxHeaderBytes is above the relay's own limit of 64 KiB, so that the relay
// itself responds to most headers that are too large.
const maxHeaderBytes = 128 << 10

// New returns a server for relay, to be passed to [Serve]. It has no
// IdleTimeout, and no ErrorLog: the caller sets one that drops what net/http
// says, or redacts it, since net/http quotes clients and upstreams.
func New(relay *core.Relay) *http.Server {
	return &http.Server{
		Handler:           relay,
		ReadHeaderTimeout: 10 * time.Second,
		// No WriteTimeout, which would end every stream: the relay sets a deadline
		// for each write.
		MaxHeaderBytes: maxHeaderBytes,
		// net/http would respond to OPTIONS * by itself.
		DisableGeneralOptionsHandler: true,
	}
}

// arrivalTime is how long a connection that was accepted before the listener was
// closed has to send its first request: net/http's Shutdown closes it without a
// response if the request arrives later.
const arrivalTime = 250 * time.Millisecond

// Serve accepts connections from ln until ctx ends. Then it closes ln and returns
// nil; requests go on, and [Shutdown] ends them. If the server fails before, Serve
// returns its error. It sets server.ConnState.
func Serve(ctx context.Context, server *http.Server, relay *core.Relay, ln net.Listener) error {
	failed := make(chan error, 1)
	counted := relay.Listen(server, ln)
	go func() { failed <- server.Serve(counted) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		_ = ln.Close()
		return nil
	}
}

// Shutdown stops server after [Serve] has returned. It closes idle connections at
// once and gives requests up to timeout to finish, those included that arrive on
// connections which were just accepted. Streams that are left then end with an
// error event, and Shutdown returns [context.DeadlineExceeded].
func Shutdown(server *http.Server, relay *core.Relay, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	server.SetKeepAlivesEnabled(false) // closes idle connections, and others after their response
	time.Sleep(min(arrivalTime, timeout))
	// The server waits for its connections, as the relay does for its requests; but
	// it does not track hijacked connections, and does not end streams.
	closed := make(chan struct{})
	go func() {
		_ = server.Shutdown(ctx)
		close(closed)
	}()
	err := relay.Shutdown(ctx)
	if err == nil {
		<-closed // net/http may still be writing the ends of the last responses
	}
	_ = server.Close()
	return err
}
