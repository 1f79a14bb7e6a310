package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"

	"example.com/relay/bench/upstream"
	"example.com/relay/core"
)

// Roles that this command plays in processes of its own. Their first argument
// says which; the line that they print says where they listen.
const (
	roleUpstream = "upstream"
	roleStock    = "stock"
	roleFloor    = "floor"
	roleClients  = "clients"

	addrPrefix = upstream.AddrPrefix
)

// beStock serves what the standard library has ready, as it comes, until ctx
// ends.
func beStock(ctx context.Context, up string, stdout io.Writer) error {
	target, err := url.Parse(up)
	if err != nil {
		return err
	}
	return beServer(ctx, httputil.NewSingleHostReverseProxy(target), stdout)
}

// beServer serves a role until ctx ends, and prints where.
func beServer(ctx context.Context, h http.Handler, stdout io.Writer) error {
	server, err := serve(h)
	if err != nil {
		return err
	}
	defer server.Close()
	fmt.Fprintln(stdout, addrPrefix+server.Addr)
	<-ctx.Done()
	return nil
}

// serve serves h at the address in the server that it returns, which must be
// closed. The server does not log that clients leave.
func serve(h http.Handler) (*http.Server, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Addr: ln.Addr().String(), Handler: h, ErrorLog: quiet}
	if relay, ok := h.(*core.Relay); ok {
		ln = relay.Listen(server, ln) // as relay serve does
	}
	go func() { _ = server.Serve(ln) }()
	return server, nil
}

// quiet is the log of servers whose clients leave as a matter of course.
var quiet = log.New(io.Discard, "", 0)
