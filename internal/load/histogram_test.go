package load

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHistogramSmallValuesAreExact(t *testing.T) {
	var h Histogram
	for v := range 200 {
		h.Record(time.Duration(v))
	}
	for q, want := range map[float64]time.Duration{0: 0, 0.25: 49, 0.5: 99, 0.99: 197, 1: 199} {
		if got := h.Quantile(q); got != want {
			t.Errorf("Quantile(%v) = %d, want %d", q, got, want)
		}
	}
}

func TestHistogramMatchesSorting(t *testing.T) {
	var h Histogram
	rnd := rand.New(rand.NewPCG(1, 2))
	values := make([]time.Duration, 10_000)
	for i := range values {
		values[i] = time.Duration(rnd.ExpFloat64() * float64(3*time.Millisecond))
		h.Record(values[i])
	}
	slices.Sort(values)
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		want := values[int(q*float64(len(values)-1))]
		got := h.Quantile(q)
		if diff := (got - want).Abs(); diff > want/100 {
			t.Errorf("Quantile(%v) = %v, want %v within 1%%", q, got, want)
		}
	}
}

func TestHistogramMerge(t *testing.T) {
	var a, b Histogram
	a.Record(time.Millisecond)
	b.Record(-time.Second) // counts as zero
	b.Record(time.Hour)
	a.Merge(&b)
	if a.Count() != 3 || a.Quantile(0) != 0 || a.Quantile(1) != time.Hour {
		t.Errorf("merged: %d values from %v to %v, want 3 from 0 to 1h", a.Count(), a.Quantile(0), a.Quantile(1))
	}
	if got := (&Histogram{}).Quantile(0.5); got != 0 {
		t.Errorf("Quantile of nothing = %v, want 0", got)
	}
}

func TestBucketsAreInOrder(t *testing.T) {
	last := -1
	for v := uint64(1); v < 1<<62; v += v/50 + 1 {
		i := bucketOf(v)
		if i < last || i >= buckets {
			t.Fatalf("bucketOf(%d) = %d after %d", v, i, last)
		}
		if m := uint64(middle(i)); bucketOf(m) != i {
			t.Fatalf("middle(%d) = %d, which is in bucket %d", i, m, bucketOf(m))
		}
		last = i
	}
}
