package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"example.com/relay/internal/figures"
)

// A bound is what a figure must not exceed. The median counts.
type bound struct {
	what      string
	must, aim float64 // in the unit that what ends with; aim is NaN if there is none
	values    func(figures.File) []float64
	needs     string // who else must have been measured
}

// boundsSection is the section of the bounds, and what the flag -suite calls it.
const boundsSection = "bounds"

var (
	errNotKept = errors.New("not every bound is kept")
	errNothing = errors.New("nothing was measured that a bound is for")
)

var none = math.NaN()

// bounds are the relay's bounds, with room for the slower of two machines. What a ratio
// is depends on the processor: a handler that only copies takes 2.5 times nginx's CPU on
// one by AMD, and 2.9 on one by Intel; the relay takes 0.66 and 0.57 times Caddy's. An
// idle stream is measured when all have just been opened, at once.
var bounds = []bound{
	{"CPU per request, × nginx", 4.8, 2.0, ratio(plain, cpu, nameNginx), nameNginx},
	{"CPU per request, × Caddy", 0.75, none, ratio(plain, cpu, nameCaddy), nameCaddy},
	{"CPU per request, × worker", 0.4, none, ratio(plain, cpu, nameWorker), nameWorker},
	{"CPU per request that logs usage, × one that does not", 1.15, 1.03, between(cpu, nameUsage, nameRelay), ""},
	{"CPU per request over TLS, × nginx", 4.2, 1.7, ratio(https1, cpu, nameNginx), nameNginx},
	{"CPU per request to an upstream that speaks HTTP/2, × HTTP/1.1", 1.3, none, ofHTTP2(cpu), ""},
	{"p50 at 200 requests a second, above nginx's, ms", 0.3, none, beyond(plain, steadyP50, nameNginx), nameNginx},
	{"the same over TLS, ms", 0.4, none, beyond(https1, steadyP50, nameNginx), nameNginx},
	{"events of 16,500 that came together with another", 16, none, of("relay", plain, together), ""},
	{"lag of an event, added to direct, p50, ms", 0.3, none, beyond(plain, eventP50, nameDirect), nameDirect},
	{"first event, above nginx's, ms", 0.5, 0.15, beyond(plain, first, nameNginx), nameNginx},
	{"lag of an event, above nginx's, p50, ms", 0.15, 0.02, beyond(plain, eventP50, nameNginx), nameNginx},
	{"CPU per event at 16 streams, × nginx", 2.0, 1.3, ratio(plain, eventCPU, nameNginx), nameNginx},
	{"CPU per event at 1,000 streams, × nginx", 1.6, 1.3, ratioIn("streams", plain, manyCPU(1000), nameNginx),
		nameNginx},
	{"CPU per event at 5,000 streams, × nginx", 1.6, 1.3, ratioIn("streams", plain, manyCPU(5000), nameNginx),
		nameNginx},
	{"memory of a stream, KiB, at 10,000", 40, 32, of("streams", plain, manyMemory(10_000)), ""},
	{"time to open 10,000 streams, s", 20, none, of("streams", plain, manyOpen(10_000)), ""},
	{"events lost of 10,000 streams", 0, none, of("streams", plain, manyLost(10_000)), ""},
	{"an idle stream, KiB, at 1,000", 56, none, of("relay", plain, idleStream(1000)), ""},
	{"an idle stream, KiB, at 2,000", 56, none, of("relay", plain, idleStream(2000)), ""},
	{"Worker: CPU per request, × fifteen lines", 2.0, none, between(cpu, nameWorkerJS, nameWorker), nameWorker},
	{"Worker: CPU per event, × fifteen lines", 1.5, 1.3, between(eventCPU, nameWorkerJS, nameWorker), nameWorker},
	{"Lambda: exec to first `/next`, p50, ms", 5, none, of("lambda", onLambda, start), ""},
	{"Lambda: events that came together with another", 0, none, of("lambda", onLambda, together), ""},
	{"Lambda: lag of an event, added to direct, p50, ms", 0.3, none, of("lambda", onLambda, eventAdded), ""},
	{"Lambda: resident when warm, MB", 12, none, megabytes(of("lambda", onLambda, rss)), ""},
	{"Lambda: zip for arm64, MB", 3.0, 2.6, of("lambda", onLambda, zipArm64), ""},
}

// of returns a figure of the relay.
func of(suite, on string, m metric) func(figures.File) []float64 {
	return func(f figures.File) []float64 { return f.Values(suite, nameRelay, on, m.what) }
}

// megabytes converts figures from MiB to MB.
func megabytes(mebibytes func(figures.File) []float64) func(figures.File) []float64 {
	return func(f figures.File) []float64 {
		var all []float64
		for _, v := range mebibytes(f) {
			all = append(all, v*(1<<20)/1e6)
		}
		return all
	}
}

// ratio returns the ratios of the relay's figures to those of base, round by round.
func ratio(on string, m metric, base string) func(figures.File) []float64 {
	return ratioIn("relay", on, m, base)
}

// ofHTTP2 returns the ratios of the relay's figures with an upstream that speaks HTTP/2
// and HTTP/1.1 to those with one that speaks HTTP/1.1 only, round by round.
func ofHTTP2(m metric) func(figures.File) []float64 {
	return func(f figures.File) []float64 {
		return ratios(f.Values("relay", nameRelay, https2, m.what), f.Values("relay", nameRelay, https1, m.what))
	}
}

// between returns the ratios of one contender's figures to another's, round by round.
func between(m metric, name, base string) func(figures.File) []float64 {
	return func(f figures.File) []float64 { return ratiosOf(f, name, base, plain, m) }
}

// ratioIn is ratio with the figures of any suite.
func ratioIn(suite, on string, m metric, base string) func(figures.File) []float64 {
	return func(f figures.File) []float64 {
		return ratios(f.Values(suite, nameRelay, on, m.what), f.Values(suite, base, on, m.what))
	}
}

func ratiosOf(f figures.File, name, base, on string, m metric) []float64 {
	return ratios(f.Values("relay", name, on, m.what), f.Values("relay", base, on, m.what))
}

// beyond returns the differences between the relay's figures and those of base, in
// ms, round by round. The figures are in µs.
func beyond(on string, m metric, base string) func(figures.File) []float64 {
	return func(f figures.File) []float64 {
		return figures.Added(f.Values("relay", nameRelay, on, m.what), f.Values("relay", base, on, m.what))
	}
}

// judgeFile applies the bounds to the figures in a file, and writes the section.
func judgeFile(opts options, stdout io.Writer) error {
	measured, err := figures.Read(opts.figures)
	if err != nil {
		return err
	}
	all := judge(measured)
	if err := opts.publish(writeBounds(measured, all), nil, stdout); err != nil {
		return err
	}
	if opts.strict {
		return verdict(all)
	}
	return nil
}

// A judged is a bound with its measurements, if any.
type judged struct {
	bound
	measured []float64
}

// judge applies all bounds.
func judge(f figures.File) []judged {
	var all []judged
	for _, b := range bounds {
		all = append(all, judged{b, b.values(f)})
	}
	return all
}

// within reports whether the median is within a limit: "yes", "no", or "" if there
// is no limit or nothing was measured.
func (j judged) within(limit float64) string {
	switch median := figures.Median(j.measured); {
	case math.IsNaN(limit) || math.IsNaN(median):
		return ""
	case median <= limit:
		return "yes"
	}
	return "no"
}

// verdict returns an error if a bound is not kept, or if none could be judged.
func verdict(all []judged) error {
	could := slices.ContainsFunc(all, func(j judged) bool { return j.within(j.must) != "" })
	broken := slices.ContainsFunc(all, func(j judged) bool { return j.within(j.must) == "no" })
	switch {
	case !could:
		return errNothing
	case broken:
		return errNotKept
	}
	return nil
}

// writeBounds writes the table of bounds, and how the relay compares.
func writeBounds(f figures.File, all []judged) []byte {
	var b bytes.Buffer
	kept, could := 0, 0
	for _, j := range all {
		switch j.within(j.must) {
		case "yes":
			kept, could = kept+1, could+1
		case "no":
			could++
		}
	}
	fmt.Fprintf(&b, `## Bounds

Of the relay's %d bounds, %d could be judged and %d are kept. The median counts; in parentheses are the minimum and
maximum of the rounds. The relay checks a token, replaces it with an API key, applies its header and CORS policies,
and logs every request.

![CPU per request, latency at 200 requests a second, events and idle streams, of the relay and of
others](performance.svg)

`, len(all), could, kept)
	b.WriteString(figures.Header("measured", "must be at most", "kept", "aim", "reached"))
	for _, j := range all {
		measured := figures.Spread(j.measured)
		if len(j.measured) == 0 {
			measured = cmp.Or(missing(f, j.needs), "not measured")
		}
		aim := ""
		if !math.IsNaN(j.aim) {
			aim = figures.Format(j.aim)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", j.what, measured, figures.Format(j.must),
			bold(j.within(j.must)), aim, j.within(j.aim))
	}
	b.WriteByte('\n')
	if slices.ContainsFunc(all, func(j judged) bool { return j.within(j.aim) == "no" }) {
		b.WriteString(obstacle(f))
	}
	return b.Bytes()
}

// obstacle explains what prevents the aims, or returns "" if it was not measured.
func obstacle(f figures.File) string {
	floor, floorTLS := ratiosOf(f, nameFloor, nameNginx, plain, cpu), ratiosOf(f, nameFloor, nameNginx, https1, cpu)
	above, aboveTLS := ratiosOf(f, nameRelay, nameFloor, plain, cpu), ratiosOf(f, nameRelay, nameFloor, https1, cpu)
	if len(floor) == 0 || len(floorTLS) == 0 || len(above) == 0 || len(aboveTLS) == 0 {
		return ""
	}
	return fmt.Sprintf("The obstacle to the aims is net/http's server: a handler that only copies headers and "+
		"bodies between it and the handler's own connections, without\n"+
		"limits, timeouts, cancellation or a log, takes %s times the CPU of nginx, and %s times over TLS. The relay "+
		"takes %s and %s times the CPU of that handler.\n\n",
		figures.Format(figures.Median(floor)), figures.Format(figures.Median(floorTLS)),
		figures.Format(figures.Median(above)), figures.Format(figures.Median(aboveTLS)))
}

// missing returns why a contender did not take part.
func missing(f figures.File, name string) string {
	if run := f["relay"]; run != nil && name != "" {
		for _, reason := range run.Missing {
			if len(reason) > len(name) && reason[:len(name)] == name {
				return reason
			}
		}
	}
	return ""
}

// bold emphasises a "no".
func bold(kept string) string {
	if kept == "no" {
		return "**no**"
	}
	return kept
}
