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
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: httputil.NewSingleHostReverseProxy(target), ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = server.Serve(ln) }()
	defer server.Close()
	fmt.Fprintln(stdout, addrPrefix+ln.Addr().String())
	<-ctx.Done()
	return nil
}
