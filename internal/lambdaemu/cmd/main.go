// Command cmd runs a zip for AWS Lambda on this machine, behind an emulation of
// its function URL:
//
//	go run ./internal/lambdaemu/cmd -zip dist/lambda.zip -env RELAY_API_KEY=sk-...
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
	"time"

	"example.com/relay/internal/lambdaemu"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// options are the parsed flags.
type options struct {
	zip      string
	listen   string
	function lambdaemu.Function
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{function: lambdaemu.Function{Env: map[string]string{}}}
	f := &o.function
	flags := flag.NewFlagSet("lambdaemu", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.zip, "zip", "", "`file` as uploaded to Lambda, with a bootstrap in its root")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:9000", "loopback `address` of the function URL")
	flags.Func("env", "`NAME=VALUE` for the function; may be repeated", func(s string) error {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return errors.New("want NAME=VALUE")
		}
		f.Env[name] = value
		return nil
	})
	flags.StringVar((*string)(&f.Front), "front", string(lambdaemu.FunctionURL),
		"FUNCTION_URL, HTTP_API, REST_API, ALB or ALB_MULTI_VALUE")
	flags.StringVar((*string)(&f.Mode), "mode", string(lambdaemu.ResponseStream), "RESPONSE_STREAM or BUFFERED")
	flags.IntVar(&f.MemoryMB, "memory", 256, "memory size reported to the function, in MB; not enforced")
	flags.DurationVar(&f.Timeout, "timeout", 900*time.Second, "timeout of an invocation")
	flags.IntVar(&f.Concurrency, "concurrency", 10, "max number of processes")
	flags.BoolVar(&f.Freeze, "freeze", false, "stop processes while they are idle")
	flags.StringVar((*string)(&f.Cut), "cut", string(lambdaemu.CutBroken),
		"how a truncated stream ends: broken or clean")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 || o.zip == "" {
		return o, errors.New("want -zip and no arguments; -help explains the flags")
	}
	return o, checkLoopback(o.listen)
}

// checkLoopback returns an error if other machines can reach address: whoever
// reaches the function can use the key in its environment.
func checkLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("-listen: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("-listen %s: only loopback addresses are served, such as 127.0.0.1:9000", address)
	}
	return nil
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "lambdaemu-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.function.Bootstrap, err = unpack(o.zip, dir); err != nil {
		return err
	}
	o.function.Log = stderr
	server, err := lambdaemu.New(o.function)
	if err != nil {
		return err
	}
	defer server.Close()
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	base := "http://" + listener.Addr().String() + "/v1"
	fmt.Fprintf(stdout, "base URL: %s\ncurl -N %s/models -H \"Authorization: Bearer $OPENAI_API_KEY\"\n", base, base)
	return serve(ctx, listener, server)
}

// serve serves h until ctx ends, and then aborts the requests in flight.
func serve(ctx context.Context, listener net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
