package doc

import (
	"math"
	"slices"
	"strconv"
	"strings"
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

// Spread writes the median of values, and in brackets the least and the largest.
func Spread(values []float64) string {
	if len(values) == 0 {
		return "–"
	}
	if len(values) == 1 {
		return Figure(values[0])
	}
	return Figure(Median(values)) + " (" + Figure(slices.Min(values)) + "–" + Figure(slices.Max(values)) + ")"
}

// Figure writes v with no more digits than a measurement deserves.
func Figure(v float64) string {
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

// Thousands writes v as a whole number with commas.
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

// Header returns the first two lines of a table whose cells are figures, but
// for those of its first column.
func Header(titles ...string) string {
	return "| | " + strings.Join(titles, " | ") + " |\n|---|" + strings.Repeat("---:|", len(titles)) + "\n"
}
