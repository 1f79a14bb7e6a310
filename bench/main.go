// Command bench measures the relay next to what a user could have instead, and
// writes docs/evidence/performance.md.
//
//	go run ./bench -suite relay|streams|flat|lambda|servers|bounds [-quick] [-out docs/evidence/performance.md]
//	go run ./bench -suite smoke
//	go run -trimpath ./bench -suite profile -out bench/relay.pgo
//
// The suite relay compares it as a server with a stock httputil.ReverseProxy;
// with nginx, haproxy and Caddy where they are installed; and with a worker on
// workerd and Portkey's gateway where npm is. streams compares it with most of
// them by what thousands of event streams cost. lambda compares it as a function on an emulated AWS
// Lambda, servers as what Google Cloud Functions and Vercel start, each with
// what a user would write in fifteen lines. In front of the same scripted
// upstream, contenders take turns, several rounds of them, and the report has
// medians. bounds measures nothing: it says which bounds the figures keep that
// the others left beside the page. Without -out, reports go to standard output.
// smoke fails if the relay has become slow. profile records what the relay spends
// its time on, for the compiler.
//
//	main.go             the command, and what it plays in processes of its own (roles.go, floor.go)
//	suite.go, row.go    rounds, turns, and what is measured of a contender
//	rig.go              the upstreams, and programs built for the occasion
//	relay.go            the suite relay: closed loops, an open one, streams; streams.go has idle ones
//	many.go             the suite streams: thousands of event streams
//	flat.go             the suite flat: event streams for half an hour
//	contenders.go       who takes part in it; others.go, worker.go and portkey.go configure programs of others
//	platform.go         what the suites lambda and servers have in common
//	lambda.go, init.go  functions, and what their start consists of
//	servers.go          servers of Google Cloud Functions and Vercel
//	bounds.go           the bounds
//	smoke.go            the smoke test
//	profile.go          relay.pgo
//	*_report.go         sections of the page; table.go has their tables
//	inside.go           what the benchmarks say, which run everything in one process (bench_test.go, memory_test.go)
//	stock               what a user would write
//	upstream            a scripted upstream whose responses are bytes made beforehand
//	chaos               a module of its own: regions that break before a gateway, docs/evidence/failover.md; and the
//	plots
//
// Upstream and clients (internal/load) are cheap so that the figures are the
// relay's: in one process their allocations are next to none, and on shared cores
// they leave it the time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/figures"
	"example.com/relay/internal/section"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run is main without the process.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 3 && args[0] == roleClients {
		return beClients(ctx, args[1], args[2])
	}
	if len(args) == 2 {
		switch args[0] {
		case roleUpstream:
			return upstream.Serve(ctx, args[1], stdout)
		case roleStock:
			return beStock(ctx, args[1], stdout)
		case roleFloor:
			return beFloor(ctx, args[1], stdout)
		}
	}
	opts, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	switch opts.suite {
	case boundsSection:
		return judgeFile(opts, stdout)
	case smokeSuite:
		return smoke(ctx, stdout, stderr)
	case profileSuite:
		return recordProfile(ctx, opts, stderr)
	}
	return suites[opts.suite].run(ctx, opts, stdout, stderr)
}

// options are what the flags say.
type options struct {
	suite   string
	quick   bool
	out     string
	figures string
	strict  bool
}

func parse(args []string, stderr io.Writer) (opts options, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&opts.suite, "suite", "",
		"`name` of what to measure: relay, streams, lambda or servers; or bounds, smoke or profile")
	flags.BoolVar(&opts.quick, "quick", false, "measure for a minute or so; the figures are rough")
	flags.StringVar(&opts.out, "out", "", "`file` whose section to write, in place of standard output")
	flags.StringVar(&opts.figures, "figures", "docs/evidence/performance.json",
		"`file` with the figures that bounds are for, unless -out is given")
	flags.BoolVar(&opts.strict, "strict", false, "with bounds, fail if one is not kept, or none could be judged")
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	if flags.NArg() > 0 {
		return opts, fmt.Errorf("takes no %q", flags.Arg(0))
	}
	if _, ok := suites[opts.suite]; !ok &&
		!slices.Contains([]string{boundsSection, smokeSuite, profileSuite}, opts.suite) {
		return opts, fmt.Errorf("-suite: there is no suite %q", opts.suite)
	}
	if opts.out != "" {
		opts.figures = strings.TrimSuffix(opts.out, ".md") + ".json"
	}
	return opts, nil
}

// publish writes a suite's report, and its figures beside the page.
func (opts options) publish(report []byte, run *figures.Run, stdout io.Writer) error {
	if opts.out == "" {
		_, err := stdout.Write(report)
		return err
	}
	if err := section.Write(opts.out, opts.suite, report); err != nil || run == nil {
		return err
	}
	return figures.Put(opts.figures, opts.suite, run)
}
