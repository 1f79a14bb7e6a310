package figures

import (
	"math"
	"slices"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		if got := Median(test.values); got != test.want {
			t.Errorf("Median(%v) = %v, want %v", test.values, got, test.want)
		}
	}
	if got := Median(nil); !math.IsNaN(got) {
		t.Errorf("Median(nil) = %v, want NaN", got)
	}
}

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   string
	}{
		{nil, "–"},
		{[]float64{1.234}, "1.23"},
		{[]float64{12345.6, 999.5, 1234567}, "12,346 (1,000–1,234,567)"},
		{[]float64{-0.5, 12.34, 123.4}, "12.3 (-0.50–123)"},
	} {
		if got := Spread(test.values); got != test.want {
			t.Errorf("Spread(%v) = %q, want %q", test.values, got, test.want)
		}
	}
}

func TestQuantiles(t *testing.T) {
	if got, want := Quantiles([]float64{10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 11}), "6.00 (1.00, 10.0)"; got != want {
		t.Errorf("Quantiles() = %q, want %q", got, want)
	}
}

func TestAdded(t *testing.T) {
	if got := Added([]float64{3000, 5000}, []float64{1000, 6000, 9}); !slices.Equal(got, []float64{2, -1}) {
		t.Errorf("Added() = %v, want [2 -1]", got)
	}
}
