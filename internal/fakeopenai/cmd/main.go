// Command fakeopenai serves the fake api.openai.com to a person: for SDKs,
// curl and the relay, with the faults that the header Fake-Fault asks for.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"example.com/relay/internal/fakeopenai"
)

// kept is how many requests the recorder holds, so that memory stays constant.
const kept = 16

var errNotLoopback = errors.New("not a loopback address; -insecure-listen allows it")

type options struct {
	listen         string
	insecureListen bool
	fault          string
}

func main() {
	opts, err := parseFlags(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		os.Exit(2) // the flag package has said why
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, opts, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "fakeopenai:", err)
		os.Exit(1)
	}
}

func parseFlags(args []string) (options, error) {
	var opts options
	fs := flag.NewFlagSet("fakeopenai", flag.ContinueOnError)
	fs.StringVar(&opts.listen, "listen", "127.0.0.1:8899", "`address` to listen on")
	fs.BoolVar(&opts.insecureListen, "insecure-listen", false, "allow an address that others can reach")
	fs.StringVar(&opts.fault, "fault", "gap=40ms",
		"`directives` for every request, before those of its Fake-Fault header")
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "Usage: fakeopenai [flags]")
		fs.PrintDefaults()
		fmt.Fprintf(fs.Output(), "Directives: %s\n", strings.Join(fakeopenai.Directives(), " "))
	}
	return opts, fs.Parse(args)
}

// run serves until ctx ends, and writes to out how to use it.
func run(ctx context.Context, opts options, out io.Writer) error {
	if _, err := fakeopenai.ParseFault(opts.fault); err != nil {
		return fmt.Errorf("-fault: %w", err)
	}
	if !opts.insecureListen && !isLoopback(opts.listen) {
		return fmt.Errorf("%s: %w", opts.listen, errNotLoopback)
	}
	ln, err := net.Listen("tcp", opts.listen)
	if err != nil {
		return err
	}
	u := fakeopenai.NewUpstream()
	u.KeepLast(kept)
	u.SetFault(func(*http.Request) string { return opts.fault })
	srv := &http.Server{Handler: u}
	defer context.AfterFunc(ctx, func() { srv.Close() })()

	fmt.Fprintf(out, usage, ln.Addr(), ln.Addr())
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	u.Close()
	return nil
}

const usage = `Base URL: http://%s/v1

Try it:
  curl -N http://%s/v1/chat/completions \
    -H 'Authorization: Bearer sk-fake' -H 'Content-Type: application/json' \
    -d '{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"Hello"}]}'
Add -H 'Fake-Fault: cut=3' to see it break; -help lists the directives.
`

// isLoopback reports whether only this machine can reach address.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
