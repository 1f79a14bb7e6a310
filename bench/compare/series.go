package main

import (
	"math"
	"slices"
	"strconv"
)

// A metric is one of the figures in a sample.
type metric int

const (
	cpu    metric = iota // µs of the contender's CPU time, per request or event
	rate                 // requests per second
	p50                  // µs to the end of an answer
	p99                  // the same
	rss                  // MiB after the load
	conns                // connections to the upstream per 10,000 requests
	first                // µs to the first event
	lagP50               // µs that an event takes
	lagP99               // the same
	idle                 // KiB for an idle stream
	metrics
)

// A sample is what one measurement gave.
type sample [metrics]float64

// A series are the samples of all rounds, in their order.
type series []sample

func (s series) values(m metric) []float64 {
	values := make([]float64, len(s))
	for i := range s {
		values[i] = s[i][m]
	}
	return values
}

// compared returns how many times that of base each value is, round by round:
// what disturbs a round disturbs both.
func (s series) compared(m metric, base series) []float64 {
	var ratios []float64
	for i := range min(len(s), len(base)) {
		if base[i][m] > 0 {
			ratios = append(ratios, s[i][m]/base[i][m])
		}
	}
	return ratios
}

// over returns how much each value is above that of base, round by round.
func (s series) over(m metric, base series) []float64 {
	var differences []float64
	for i := range min(len(s), len(base)) {
		differences = append(differences, s[i][m]-base[i][m])
	}
	return differences
}

// median returns the middle of values, or NaN if there are none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// spread writes the median of values, and in brackets the least and the largest.
func spread(values []float64) string {
	if len(values) == 0 {
		return "–"
	}
	if len(values) == 1 {
		return figure(values[0])
	}
	return figure(median(values)) + " (" + figure(slices.Min(values)) + "–" + figure(slices.Max(values)) + ")"
}

// figure writes v with no more digits than a measurement deserves.
func figure(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case a >= 999.5:
		return thousands(v)
	case a >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// thousands writes v as a whole number with commas.
func thousands(v float64) string {
	s := strconv.FormatFloat(math.Abs(v), 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if v < 0 {
		return "-" + s
	}
	return s
}
