package main

import (
	"maps"
	"slices"
	"strings"

	"example.com/relay/internal/figures"
	"example.com/relay/internal/load"
	"example.com/relay/internal/proc"
)

// A metric is something that is measured, in its unit.
type metric struct{ what, unit string }

// What is measured of servers under load.
var (
	cpu       = metric{"CPU/request", "µs"} // of the contender's CPU time
	rate      = metric{"requests/s", ""}
	loadedP50 = metric{"p50 under load", "µs"}
	loadedP99 = metric{"p99 under load", "µs"}
	conns     = metric{"upstream connections per 10,000 requests", ""}
	steadyP50 = metric{"p50 at a fixed rate", "µs"} // from when the request was due
	steadyP99 = metric{"p99 at a fixed rate", "µs"}
	late      = metric{"sent late at a fixed rate, p50", "µs"}
	first     = metric{"first event", "µs"}
	eventCPU  = metric{"CPU/event", "µs"}
	startup   = metric{"start to first response", "ms"}
)

// What is measured of functions, and of the servers of a platform.
var (
	start         = metric{"start", "ms"} // of the process until it listens, or asks for an event
	firstResponse = metric{"first response", "ms"}
	firstTLS      = metric{"first response over TLS", "ms"}
	secondTLS     = metric{"second response over TLS", "ms"}
	chatP50       = metric{"short response, p50", "µs"}
	chatP99       = metric{"short response, p99", "µs"}
	idle          = metric{"RSS after the start", "MiB"}
	afterTLS      = metric{"RSS after responses over TLS", "MiB"}
	afterJSON     = metric{"RSS after JSON", "MiB"}
	afterFile     = metric{"RSS after a file", "MiB"}
	zipArm64      = metric{"zip for arm64", "MB"}

	// The same, added to direct.
	chatAdded     = metric{"short response, added", "ms"}
	chatAddedP99  = metric{"short response, p99 added", "ms"}
	eventAdded    = metric{"event, added", "ms"}
	eventAddedP99 = metric{"event, p99 added", "ms"}
)

// What is measured of all of them.
var (
	rss      = metric{"RSS", "MiB"} // after the load, or when warm
	eventP50 = metric{"event p50", "µs"}
	eventP99 = metric{"event p99", "µs"}
	events   = metric{"events", ""}
	together = metric{"events that came together", ""} // in one read with the one before
)

// idleStream is the memory of each of n idle streams.
func idleStream(n int) metric {
	return metric{"idle stream of " + figures.Thousands(float64(n)), "KiB"}
}

// A row is the measurements of a contender.
type row struct {
	contender
	built   *built   // nil if no program was built
	running *running // of the suite relay, which starts each once

	values   map[metric][]float64 // in the order of the rounds
	pending  map[metric][]float64 // of the current measurement
	failures []error              // of measurements that were repeated

	asked, failed int // numbers of requests
	failure       error
	inits         []*initTrace
	words         words
}

// words are results in words: of an upload, of a stream that the upstream
// truncates, and of requests after a freeze.
type words struct{ upload, cut, freeze string }

// add adds values to the current measurement.
func (w *row) add(m metric, values ...float64) {
	if w.pending == nil {
		w.pending = make(map[metric][]float64)
	}
	w.pending[m] = append(w.pending[m], values...)
}

// measure runs measurement and keeps what it adds, unless it fails.
func (w *row) measure(measurement func(*row) error) error {
	w.pending = nil
	if err := measurement(w); err != nil {
		return err
	}
	if w.values == nil {
		w.values = make(map[metric][]float64)
	}
	for m, values := range w.pending {
		w.values[m] = append(w.values[m], values...)
	}
	return nil
}

// addEvents adds the lags of events, and how many came in one read with the one
// before.
func (w *row) addEvents(lag *load.Histogram, comeTogether int) {
	w.add(eventP50, figures.Micros(lag.Quantile(0.5)))
	w.add(eventP99, figures.Micros(lag.Quantile(0.99)))
	w.add(events, float64(lag.Count()))
	w.add(together, float64(comeTogether))
}

// addUsage adds a process's resident memory.
func (w *row) addUsage(m metric, used proc.Usage) { w.add(m, float64(used.RSS)/(1<<20)) }

// median returns the median of a metric's values.
func (w *row) median(m metric) float64 { return figures.Median(w.values[m]) }

// sum returns the sum of a metric's values.
func (w *row) sum(m metric) float64 {
	total := 0.0
	for _, v := range w.values[m] {
		total += v
	}
	return total
}

// added returns the differences to base in ms, round by round, as a disturbance
// hits both in a round. The values are in µs.
func (w *row) added(m metric, base *row) []float64 {
	return figures.Added(w.values[m], base.values[m])
}

// compared returns the ratios to base, round by round.
func (w *row) compared(m metric, base *row) []float64 {
	return ratios(w.values[m], base.values[m])
}

// ratios returns the ratios of values and bases, without those to zero.
func ratios(values, bases []float64) []float64 {
	var all []float64
	for i := range min(len(values), len(bases)) {
		if bases[i] > 0 {
			all = append(all, values[i]/bases[i])
		}
	}
	return all
}

// figures adds the measurements to run, for plots and bounds.
func (w *row) figures(run *figures.Run) {
	add := func(m metric, values ...float64) { run.Add(w.name, w.on, m.what, m.unit, values...) }
	byName := func(a, b metric) int { return strings.Compare(a.what, b.what) }
	for _, m := range slices.SortedFunc(maps.Keys(w.values), byName) {
		if m == events || m == together {
			add(m, w.sum(m))
			continue
		}
		add(m, w.values[m]...)
	}
	if w.built != nil && w.built.zip["arm64"] > 0 {
		add(zipArm64, float64(w.built.zip["arm64"])/1e6)
	}
}
