// Command verdict says what the figures of the other commands come to: which of
// the bounds that the relay has set itself are kept, and what it costs on each
// platform.
//
//	go run ./bench/verdict [-figures docs/performance.json] [-out docs/performance.md] [-strict]
//
// It measures nothing. The figures are those that compare, lambda and servers
// left beside their page. Without -out it goes to standard output.
//
//	bounds.go  the bounds, and whether they are kept
//	cost.go    formulae, one for each platform
//	prices.go  what they are applied to, with sources and dates
//	stream.go  what the relay uses for a stream
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"example.com/relay/bench/doc"
	"example.com/relay/internal/figures"
)

// The sections of the page.
var (
	boundsSection = doc.Section{Name: "bounds", Command: "go run ./bench/verdict -out docs/performance.md", First: true}
	costSection   = doc.Section{Name: "cost", Command: boundsSection.Command}
)

var (
	errNotKept = errors.New("not every bound is kept")
	errNothing = errors.New("nothing was measured that a bound is for")
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "verdict:", err)
		os.Exit(1)
	}
}

// run is main without the process.
func run(_ context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("verdict", flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("figures", "docs/performance.json", "`file` with the figures")
	out := flags.String("out", "", "`file` whose sections to write, in place of standard output")
	strict := flags.Bool("strict", false, "fail if a bound is not kept, or none could be judged")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case flags.NArg() > 0:
		return fmt.Errorf("takes no %q", flags.Arg(0))
	}
	measured, err := figures.Read(*path)
	if err != nil {
		return err
	}
	judged := judge(measured)
	if err := publish(*out, stdout, writeBounds(measured, judged), writeCost(measured)); err != nil {
		return err
	}
	if *strict {
		return verdict(judged)
	}
	return nil
}

func publish(out string, stdout io.Writer, bounds, cost []byte) error {
	if out == "" {
		_, err := fmt.Fprintf(stdout, "%s\n%s", bounds, cost)
		return err
	}
	if err := boundsSection.Put(out, bounds); err != nil {
		return err
	}
	return costSection.Put(out, cost)
}
