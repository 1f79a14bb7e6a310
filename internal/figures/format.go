// Package figures keeps measurements in a file, from which plots and bounds are
// made, and has what the reports share: statistics, tables, and the description of
// the machine.
package figures

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Median returns the middle of values, or NaN if there are none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Spread formats the median of values, with the minimum and maximum in parentheses.
func Spread(values []float64) string {
	if len(values) == 0 {
		return "–"
	}
	if len(values) == 1 {
		return Format(values[0])
	}
	return Format(Median(values)) + " (" + Format(slices.Min(values)) + "–" + Format(slices.Max(values)) + ")"
}

// Quantiles formats the median of values, with the minimum and the 90th percentile
// in parentheses.
func Quantiles(values []float64) string {
	if len(values) == 0 {
		return "–"
	}
	sorted := slices.Sorted(slices.Values(values))
	return Format(Median(values)) + " (" + Format(sorted[0]) + ", " + Format(sorted[(len(sorted)-1)*9/10]) + ")"
}

// Added returns the differences between values and base, round by round. Both are
// in µs, the differences in ms.
func Added(values, base []float64) []float64 {
	var differences []float64
	for i := range min(len(values), len(base)) {
		differences = append(differences, (values[i]-base[i])/1000)
	}
	return differences
}

// Share formats "n of of".
func Share(n, of int) string {
	return Thousands(float64(n)) + " of " + Thousands(float64(of))
}

// Megabytes formats bytes as megabytes.
func Megabytes(bytes int64) string { return Format(float64(bytes) / 1e6) }

// Micros returns d in µs.
func Micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// Millis returns d in ms.
func Millis(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// Format formats v with about three significant digits.
func Format(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case a >= 999.5:
		return Thousands(v)
	case a >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// Thousands formats v as an integer with commas.
func Thousands(v float64) string {
	s := strconv.FormatFloat(math.Abs(v), 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if v < 0 {
		return "-" + s
	}
	return s
}

// Header returns the first two lines of a table with right-aligned columns after
// the first.
func Header(titles ...string) string {
	return "| | " + strings.Join(titles, " | ") + " |\n|---|" + strings.Repeat("---:|", len(titles)) + "\n"
}
