package doc

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"example.com/relay/internal/figures"
)

// Run is the command that writes a section: it takes its flags from args,
// measures, and writes the report to the page that -out names and the figures
// beside it, or the report alone to stdout. limit says how long -quick takes.
// measure tells what it is doing on progress.
func (s Section) Run(ctx context.Context, args []string, stdout, stderr io.Writer, limit string,
	measure func(ctx context.Context, quick bool, progress io.Writer) ([]byte, *figures.Run, error)) error {
	flags := flag.NewFlagSet(s.Name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	quick := flags.Bool("quick", false, "measure for "+limit+" at most; the figures are rough")
	out := flags.String("out", "", "`file` whose section to write, in place of standard output")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case flags.NArg() > 0:
		return fmt.Errorf("takes no %q", flags.Arg(0))
	}
	report, run, err := measure(ctx, *quick, stderr)
	if err != nil {
		return err
	}
	if *out == "" {
		_, err = stdout.Write(report)
		return err
	}
	if err := s.Put(*out, report); err != nil {
		return err
	}
	return figures.Put(figures.Beside(*out), s.Name, run)
}
