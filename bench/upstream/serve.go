package upstream

import (
	"context"
	"fmt"
	"io"
	"time"

	"example.com/relay/internal/regions"
)

// AddrPrefix begins the line that Serve prints.
const AddrPrefix = "listening on "

// Serve serves an upstream of each kind until ctx ends: without TLS, with TLS,
// and HTTP/2 over TLS. In this order it prints their addresses, in one line. The
// certificate of who vouches for them it writes to the file roots.
func Serve(ctx context.Context, roots string, stdout io.Writer) error {
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
	bare, err := Start()
	if err != nil {
		return err
	}
	defer bare.Close()
	first, err := StartTLS(cert)
	if err != nil {
		return err
	}
	defer first.Close()
	second, err := StartHTTP2(cert)
	if err != nil {
		return err
	}
	defer second.Close()
	fmt.Fprintln(stdout, AddrPrefix+bare.Addr(), first.Addr(), second.Addr())
	<-ctx.Done()
	return nil
}
