package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	"example.com/relay/internal/figures"
	"example.com/relay/internal/load"
)

// A series is the runs of one experiment under the same conditions.
type series struct {
	*experiment
	on     wire
	resend bool

	runs []*tally
	none *series // of the same conditions, without a fault; nil if it was left out
}

func (s *series) String() string {
	return fmt.Sprintf("%s, %s, resend %s", s.name, s.on.name, s.onOff())
}

func (s *series) onOff() string {
	if s.resend {
		return "on"
	}
	return "off"
}

// every returns the series whose names match, those without a fault first. A nil
// pattern matches all.
func every(only *regexp.Regexp) (all []*series) {
	nones := make(map[string]*series)
	for i := range experiments {
		e := &experiments[i]
		for _, on := range e.wires {
			for _, resend := range []bool{false, true} {
				s := &series{experiment: e, on: on, resend: resend}
				if only != nil && !only.MatchString(s.String()) {
					continue
				}
				conditions := on.name + s.onOff()
				if e.name == none {
					nones[conditions] = s
				}
				s.none = nones[conditions]
				all = append(all, s)
			}
		}
	}
	return all
}

// measure runs the experiment as often as it is asked for.
func (s *series) measure(ctx context.Context, opts options, progress io.Writer) error {
	settings := append([]string{"RELAY_LOG_LEVEL=warn"}, opts.gateway...)
	if s.resend {
		settings = append(settings, "RELAY_RESEND_AMBIGUOUS=true")
	}
	if s.on == https2 {
		settings = append(settings, "RELAY_UPSTREAM_HTTP=2")
	}
	var log io.Writer
	if opts.verbose {
		log = progress
	}
	for i := range opts.runs {
		fig, err := s.stage(ctx, s.on, opts.relay, full, ofRelay(log, settings...))
		if err != nil {
			return err
		}
		s.runs = append(s.runs, fig)
		fmt.Fprintf(progress, "%s, run %d: %s\n", s, i+1, fig)
		if opts.verbose {
			fig.explain(progress)
		}
	}
	return nil
}

// String returns the figures of a run in a line.
func (fig *tally) String() string {
	return fmt.Sprintf("%d requests, %d ambiguous, %d failed, %d cut, %d truncated, %d doubled; first byte p50 %v "+
		"p99 %v max %v; used again after %v; clients late by %v (p99)",
		fig.requests, fig.outcomes[load.Ambiguous], fig.outcomes[load.Failed], fig.outcomes[load.Cut],
		fig.outcomes[load.Truncated], fig.doubled,
		round(fig.first.Quantile(0.5)), round(fig.first.Quantile(0.99)), round(fig.first.Quantile(1)), round(fig.used),
		round(fig.late.Quantile(0.99)))
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// explain says what went wrong in a run, request by request.
func (fig *tally) explain(out io.Writer) {
	for _, a := range fig.odd {
		fmt.Fprintf(out, "  at %v: %s stream=%v status=%d code=%s attempts=%d by %s after %v: %v\n",
			a.Due, a.Outcome, a.Stream, a.Status, a.Code, a.Attempts, a.Upstream, round(a.End), a.Err)
	}
}

// values returns a figure of every run.
func (s *series) values(of func(*tally) float64) (values []float64) {
	for _, fig := range s.runs {
		values = append(values, of(fig))
	}
	return values
}

// worst returns the largest figure of any run.
func (s *series) worst(of func(*tally) float64) float64 { return slices.Max(s.values(of)) }

// firstP99 returns the 99th percentile of the time to the first byte around the
// break, in ms.
func firstP99(fig *tally) float64 { return figures.Millis(fig.first.Quantile(0.99)) }

// added returns how much longer the slowest hundredth waited in a run than in
// the middle one of those without a fault.
func (s *series) added(fig *tally) float64 {
	return firstP99(fig) - figures.Median(s.none.values(firstP99))
}

func count(o load.Outcome) func(*tally) float64 {
	return func(fig *tally) float64 { return float64(fig.outcomes[o]) }
}

// uncaught returns how many ambiguous requests were sent to a broken region.
func uncaught(fig *tally) float64 { return float64(fig.outcomes[load.Ambiguous] - fig.caught) }

// noByte returns how many requests failed before a byte was delivered.
func noByte(fig *tally) float64 {
	return float64(fig.outcomes[load.Ambiguous] + fig.outcomes[load.Failed])
}

func doubled(fig *tally) float64 { return float64(fig.doubled) }

// retries returns how many attempts were made beyond the first of each request.
func retries(fig *tally) float64 { return float64(fig.attempts - (fig.requests - fig.untold)) }

// usedAgain returns how many seconds it took, or forever.
func usedAgain(fig *tally) float64 {
	if fig.used == 0 {
		return forever
	}
	return fig.used.Seconds()
}

// forever is longer than anything that was waited for.
const forever = 999
