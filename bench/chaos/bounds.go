package main

import (
	"fmt"

	"example.com/relay/internal/load"
)

// A bound is a limit that the worst run must keep.
type bound struct {
	what  string
	limit float64
	unit  string
	of    func(s *series) func(*tally) float64 // nil for series that it does not apply to
}

func about(of func(*tally) float64, names ...string) func(*series) func(*tally) float64 {
	return func(s *series) func(*tally) float64 {
		for _, name := range names {
			if s.name == name {
				return of
			}
		}
		return nil
	}
}

// with restricts a bound to a setting of resend.
func with(resend bool, of func(*series) func(*tally) float64) func(*series) func(*tally) float64 {
	return func(s *series) func(*tally) float64 {
		if s.resend != resend {
			return nil
		}
		return of(s)
	}
}

func always(of func(*tally) float64) func(*series) func(*tally) float64 {
	return func(*series) func(*tally) float64 { return of }
}

var bounds = []bound{
	{"truncated responses that look complete", 0, "", always(count(load.Truncated))},
	{"POSTs that reached the API twice, resend off", 0, "", with(false, always(doubled))},
	{"POSTs that reached the API and that no client sent", 0, "",
		always(func(fig *tally) float64 { return float64(fig.unknown) })},
	{"refused, reset, platform's 503, resend on: failed before the first byte", 0, "",
		with(true, about(noByte, "refused", "reset", "platform's 503"))},
	{"the same, resend on or off: p99 to the first byte, added", 50, " ms", func(s *series) func(*tally) float64 {
		if s.none == nil {
			return nil
		}
		return about(s.added, "refused", "reset", "platform's 503")(s)
	}},
	{"black hole, resend on: failed before the first byte", 0, "",
		with(true, about(noByte, "black hole", "black hole that stays"))},
	// Whether requests in flight at the break were processed cannot be known.
	{"black hole, resend off: ambiguous, sent after the break", 3, "",
		with(false, about(uncaught, "black hole", "black hole that stays"))},
	{"black hole, resend off: failed otherwise", 0, "",
		with(false, about(count(load.Failed), "black hole", "black hole that stays"))},
	{"black hole: p99 to the first byte", 350, " ms", about(firstP99, "black hole", "black hole that stays")},
	// Not in a black hole of 2 s: TCP's retransmissions may outlast it.
	{"black hole that stays: longest to the first byte", 3.5, " s",
		about(func(fig *tally) float64 { return fig.first.Quantile(1).Seconds() }, "black hole that stays")},
	{"black hole that stays: longest to a failure", 3.5, " s",
		about(func(fig *tally) float64 { return fig.lost.Seconds() }, "black hole that stays")},
	{"black hole that stays: longest to the end of a response", 25, " s",
		about(func(fig *tally) float64 { return fig.last.Seconds() }, "black hole that stays")},
	{"rolling restart, resend on: failed before the first byte", 0, "",
		with(true, about(noByte, "rolling restart, SIGTERM", "rolling restart, SIGKILL"))},
	{"a region that came back is used again after", 5, " s", func(s *series) func(*tally) float64 {
		if s.restore == nil {
			return nil
		}
		return usedAgain
	}},
	{"all regions down: time to the 502", 3.5, " s", whenAll(untilTold)},
	{"all regions down: other responses", 0, "", whenAll(func(fig *tally) float64 { return float64(fig.unheard) })},
	{"max attempts", 3, "", always(func(fig *tally) float64 { return float64(fig.maxAttempts) })},
	{"retries beyond 20 % of requests and 3 per second", 0, "", always(overBudget)},
	{"responses without X-Relay-Attempts", 0, "", always(func(fig *tally) float64 { return float64(fig.untold) })},
}

func whenAll(of func(*tally) float64) func(*series) func(*tally) float64 {
	return func(s *series) func(*tally) float64 {
		if !s.all {
			return nil
		}
		return of
	}
}

// untilTold returns the longest time in seconds to a 502 that says that every region
// is down, or forever if there was none.
func untilTold(fig *tally) float64 {
	if fig.told.Count() == 0 {
		return forever
	}
	return fig.told.Quantile(1).Seconds()
}

// overBudget returns by how much the retries of a run exceed the limit.
func overBudget(fig *tally) float64 {
	seconds := float64(fig.requests) / float64(fig.rate)
	return max(0, retries(fig)-0.2*float64(fig.requests)-3*seconds)
}

// A finding is the worst measurement of a bound.
type finding struct {
	bound
	worst float64
	where *series // nil if it was not measured
}

func (f finding) kept() bool { return f.where == nil || f.worst <= f.limit }

// findings returns the finding of each bound.
func (res *results) findings() (all []finding) {
	for _, b := range bounds {
		f := finding{bound: b}
		for _, s := range res.series {
			of := b.of(s)
			if of == nil {
				continue
			}
			if worst := s.worst(of); f.where == nil || worst > f.worst {
				f.worst, f.where = worst, s
			}
		}
		all = append(all, f)
	}
	return all
}

// verdict returns an error if a bound was not kept.
func (res *results) verdict() error {
	for _, f := range res.findings() {
		if !f.kept() {
			return fmt.Errorf("%w: see the report, %q for one", errBounds, f.what)
		}
	}
	return nil
}
