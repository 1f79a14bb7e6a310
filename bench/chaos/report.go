package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/relay/internal/figures"
	"example.com/relay/internal/load"
)

// Results are all series.
type results struct {
	series  []*series
	runs    int
	machine figures.Machine
	began   time.Time
	took    time.Duration
}

// A column of a table has a figure for each series.
type column struct {
	title string
	cell  func(s *series) string
}

// report writes the results as Markdown.
func (res *results) report() []byte {
	var b bytes.Buffer
	one := func(s *series) bool { return !s.all }
	fmt.Fprintf(&b, "### What clients noticed\n\nEach cell has the median and the worst of %d runs.\n\n", res.runs)
	res.writeTable(&b, one, []column{
		{"requests", func(s *series) string {
			return figures.Thousands(figures.Median(s.values(func(f *tally) float64 { return float64(f.requests) })))
		}},
		{"ambiguous 502, may be retried", counted(count(load.Ambiguous))},
		{"of them sent after the break", counted(uncaught)},
		{"failed otherwise", counted(count(load.Failed))},
		{"truncated, with an error", counted(count(load.Cut))},
		{"silently truncated", counted(count(load.Truncated))},
		{"duplicate POSTs", counted(doubled)},
		{"retries, % of requests", figured(func(f *tally) float64 { return 100 * retries(f) / float64(f.requests) })},
	})
	b.WriteString("### How long they waited\n\nTime to the first byte in ms, of requests due from 1 s before the " +
		"break to 2 s after it. Then, of all requests, the longest time to a 502 and to the end of a\n" +
		"response, complete or truncated; and how long it took until a region that came back was used again.\n\n")
	res.writeTable(&b, one, []column{
		{"p50", figured(func(f *tally) float64 { return figures.Millis(f.first.Quantile(0.5)) })},
		{"p99", figured(firstP99)},
		{"max", figured(func(f *tally) float64 { return figures.Millis(f.first.Quantile(1)) })},
		{"p99 added to none", func(s *series) string {
			if s.none == nil || s.none == s {
				return "–"
			}
			return figured(s.added)(s)
		}},
		{"longest to a 502, s", figured(func(f *tally) float64 { return f.lost.Seconds() })},
		{"longest to an end, s", figured(func(f *tally) float64 { return f.last.Seconds() })},
		{"used again after, s", again},
	})
	if slices.ContainsFunc(res.series, func(s *series) bool { return s.all }) {
		fmt.Fprintf(&b, "### When every region is down\n\nFor requests due while all were down, which is %s.\n\n",
			allOutage)
		res.writeTable(&b, func(s *series) bool { return s.all }, []column{
			{"time to the 502, ms: p50",
				figured(func(f *tally) float64 { return figures.Millis(f.told.Quantile(0.5)) })},
			{"max", figured(func(f *tally) float64 { return figures.Millis(f.told.Quantile(1)) })},
			{"other responses", counted(func(f *tally) float64 { return float64(f.unheard) })},
			{"max attempts", counted(func(f *tally) float64 { return float64(f.maxAttempts) })},
			{"silently truncated", counted(count(load.Truncated))},
			{"duplicate POSTs", counted(doubled)},
			{"used again after, s", again},
		})
	}
	res.writeFindings(&b)
	res.writeMethod(&b)
	return b.Bytes()
}

// writeTable writes a row for each series for which belongs returns true.
func (res *results) writeTable(b *bytes.Buffer, belongs func(*series) bool, columns []column) {
	titles := []string{"wire", "resend"}
	for _, c := range columns {
		titles = append(titles, c.title)
	}
	b.WriteString(figures.Header(titles...))
	for _, s := range res.series {
		if !belongs(s) {
			continue
		}
		cells := []string{s.name, s.on.name, s.onOff()}
		for _, c := range columns {
			cells = append(cells, c.cell(s))
		}
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
	}
	b.WriteString("\n")
}

// counted formats a count: the median and the maximum of the runs.
func counted(of func(*tally) float64) func(*series) string {
	return func(s *series) string {
		values := s.values(of)
		return figures.Thousands(figures.Median(values)) + " / " + figures.Thousands(slices.Max(values))
	}
}

// figured formats a measurement in the same way.
func figured(of func(*tally) float64) func(*series) string {
	return func(s *series) string {
		values := s.values(of)
		return figures.Format(figures.Median(values)) + " / " + figures.Format(slices.Max(values))
	}
}

// again formats how long it took until a region that came back was used again.
func again(s *series) string {
	if s.restore == nil {
		return "–"
	}
	if s.worst(usedAgain) == forever {
		return fmt.Sprintf("not within %s", full.useFor)
	}
	return figured(usedAgain)(s)
}

func (res *results) writeFindings(b *bytes.Buffer) {
	b.WriteString("### What must hold\n\nThe worst of all runs counts. `make chaos` fails if a bound does not " +
		"hold.\n\n| | must be at most | worst | in | |\n|---|---:|---:|---|---|\n")
	for _, f := range res.findings() {
		if f.where == nil {
			fmt.Fprintf(b, "| %s | %s%s | – | – | not measured |\n", f.what, number(f.limit), f.unit)
			continue
		}
		kept := "holds"
		if !f.kept() {
			kept = "**does not hold**"
		}
		fmt.Fprintf(b, "| %s | %s%s | %s%s | %s | %s |\n", f.what, number(f.limit), f.unit, number(f.worst), f.unit,
			f.where, kept)
	}
	b.WriteString("\n")
}

// number formats integers without a fraction.
func number(v float64) string {
	if v == float64(int64(v)) {
		return figures.Thousands(v)
	}
	return figures.Format(v)
}

func (res *results) writeMethod(b *bytes.Buffer) {
	var late float64
	for _, s := range res.series {
		late = max(late, s.worst(func(f *tally) float64 { return figures.Millis(f.late.Quantile(0.99)) }))
	}
	fmt.Fprintf(b, "### How this was measured\n\n%s", res.machine.Lines(res.began, res.took))
	fmt.Fprintf(b, "- Load: %d requests per second in an open loop: each is sent when it is due, and latency counts "+
		"from then. Half ask for a stream (40 ms), half for a\n"+
		"  response in one piece (%s, subtracted from its time to the first byte). Plain HTTP/1.1 clients without "+
		"retries. The clients themselves were late by at most %s ms (p99 of the worst run).\n",
		full.rate, think, figures.Format(late))
	fmt.Fprintf(b, "- A run: the region in use breaks after %s and is restored %s later (%s if all break); the load "+
		"ends after %s, or later if the region is not used again by then.\n",
		full.killAt, full.outage, allOutage, full.runFor)
	b.WriteString("- To repeat: `make chaos`; `make chaos-quick` takes one run of each and writes nothing.\n")
}
