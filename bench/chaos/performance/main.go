// Command performance draws docs/performance.svg from the figures of bench/compare.
//
//	cd bench/chaos && go run ./performance [-figures ../../docs/performance.json] [-plot ../../docs/performance.svg]
//
// It measures nothing: the same figures give the same bytes.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"example.com/relay/bench/doc"
)

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "performance:", err)
		os.Exit(1)
	}
}

// run is main without the process.
func run(args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("performance", flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("figures", "../../docs/performance.json", "`file` with the figures")
	plot := flags.String("plot", "../../docs/performance.svg", "`file` to draw into")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case flags.NArg() > 0:
		return fmt.Errorf("takes no %q", flags.Arg(0))
	}
	figures, err := doc.ReadFigures(*path)
	if err != nil {
		return err
	}
	return drawAll(figures, *plot)
}
