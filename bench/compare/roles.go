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
	"time"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/regions"
)

// Roles that this command plays in processes of its own. Their first argument
// says which; the line that they print says where they listen.
const (
	roleUpstream = "upstream"
	roleStock    = "stock"
	roleFloor    = "floor"

	addrPrefix = "listening on "
)

// beUpstream serves the scripted upstream, one of each kind, until ctx ends. The
// certificate of who vouches for them it writes to a file.
func beUpstream(ctx context.Context, roots string, stdout io.Writer) error {
	authority, err := regions.NewAuthority()
	if err != nil {
		return err
	}
	cert, err := authority.Certificate(time.Now().Add(time.Hour))
	if err != nil {
		return err
	}
	if err := authority.WriteFile(roots); err != nil {
		return err
	}
	bare, err := upstream.Start()
	if err != nil {
		return err
	}
	defer bare.Close()
	first, err := upstream.StartTLS(cert)
	if err != nil {
		return err
	}
	defer first.Close()
	second, err := upstream.StartHTTP2(cert)
	if err != nil {
		return err
	}
	defer second.Close()
	fmt.Fprintln(stdout, addrPrefix+bare.Addr(), first.Addr(), second.Addr()) // in the order of ends
	<-ctx.Done()
	return nil
}

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
