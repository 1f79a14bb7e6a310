// Command chaos breaks the region that a gateway is using, under load, and
// measures what its clients notice.
//
//	cd bench/chaos && go run . [-quick] [-runs N] [-only PATTERN] [-out ../../docs/evidence/failover.md] [-plot
//	../../docs/evidence/failover.svg]
//
// Gateway and regions are processes of their own, see internal/regions; this one
// is the clients, the fronts of the regions and the upstream. The report goes to
// standard output without -out. The exit status is 1 if a bound was not kept.
//
//	go run . -performance ../../docs/evidence/performance.json -plot ../../docs/evidence/performance.svg
//
// draws what bench measured, and breaks nothing.
//
// It is a module of its own so that the relay's does not need a plotting library.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"example.com/relay/internal/figures"
	"example.com/relay/internal/regions"
	"example.com/relay/internal/section"
)

// options are what the flags say.
type options struct {
	runs      int
	only      *regexp.Regexp
	out, plot string
	figures   string   // file of what bench measured, to be drawn in place of all else
	relay     string   // the program; if empty, it is built
	gateway   []string // settings
	verbose   bool
}

// errBounds is the end of a command that measured what must not be.
var errBounds = errors.New("not every bound was kept")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// run is main without the process.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if opts.figures != "" {
		measured, err := figures.Read(opts.figures)
		if err != nil {
			return err
		}
		return drawPerformance(measured, opts.plot)
	}
	if opts.relay == "" {
		dir, err := os.MkdirTemp("", "chaos-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		opts.relay = filepath.Join(dir, "relay")
		fmt.Fprintln(stderr, "building the relay")
		if err := regions.Build(ctx, opts.relay); err != nil {
			return err
		}
	}
	res := &results{began: time.Now(), machine: figures.ThisMachine(ctx), runs: opts.runs}
	for _, s := range every(opts.only) {
		if err := s.measure(ctx, opts, stderr); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
		res.series = append(res.series, s)
	}
	res.took = time.Since(res.began)
	if err := res.publish(opts, stdout); err != nil {
		return err
	}
	return res.verdict()
}

func parse(args []string, stderr io.Writer) (opts options, err error) {
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(stderr)
	quick := flags.Bool("quick", false, "one run of each experiment; the figures are rough")
	flags.IntVar(&opts.runs, "runs", 10, "`number` of runs of each experiment, of about 10 s each")
	only := flags.String("only", "", "`pattern` of the experiments to run, such as 'black hole.*resend on'; what is "+
		"compared with none needs none too")
	flags.StringVar(&opts.out, "out", "", "`file` whose section to write, in place of standard output")
	flags.StringVar(&opts.plot, "plot", "", "`file` to draw the plot into")
	flags.StringVar(&opts.figures, "performance", "",
		"`file` with the figures of bench, to draw in place of breaking anything")
	flags.StringVar(&opts.relay, "relay", "", "`program` to test, in place of this checkout's")
	gateway := flags.String("gateway", "", "further `settings` of the gateway, separated by spaces")
	flags.BoolVar(&opts.verbose, "v", false, "print the gateway's log, and what went wrong for clients")
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	if flags.NArg() > 0 {
		return opts, fmt.Errorf("takes no %q", flags.Arg(0))
	}
	if *quick {
		opts.runs = 1
	}
	if opts.figures != "" && opts.plot == "" {
		return opts, errors.New("-performance: needs -plot")
	}
	if opts.runs < 1 {
		return opts, errors.New("-runs: must be 1 at least")
	}
	opts.gateway = strings.Fields(*gateway)
	opts.only, err = regexp.Compile(*only)
	return opts, err
}

// publish writes the report and draws the plot.
func (res *results) publish(opts options, stdout io.Writer) error {
	if opts.plot != "" {
		if err := res.draw(opts.plot); err != nil {
			return err
		}
	}
	if opts.out == "" {
		_, err := stdout.Write(res.report())
		return err
	}
	return section.Write(opts.out, "chaos", res.report())
}
