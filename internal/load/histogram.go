package load

import (
	"math/bits"
	"time"
)

const (
	subBits = 7 // 128 buckets for each power of two: at most 0.8 % off
	sub     = 1 << subBits
	buckets = (64 - subBits) * sub
)

// A Histogram counts durations by size, with a relative error of less than one
// percent. The zero value is empty and ready to use.
type Histogram struct {
	counts [buckets]uint32
	total  uint64
	max    time.Duration
}

// Record counts d. A negative duration, which a clock may yield, counts as zero.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(uint64(d))]++
	h.total++
	h.max = max(h.max, d)
}

// Merge counts what other has counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// Count returns how many durations were recorded.
func (h *Histogram) Count() int { return int(h.total) }

// Quantile returns the q-quantile of all durations: the median for 0.5, the
// maximum for 1. It returns 0 if there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := uint64(min(max(q, 0), 1) * float64(h.total-1))
	if rank == h.total-1 {
		return h.max
	}
	seen := uint64(0)
	for i, n := range h.counts {
		if seen += uint64(n); seen > rank {
			return min(middle(i), h.max)
		}
	}
	return h.max
}

// bucketOf returns the bucket of v: one for each small value, then sub for each
// power of two.
func bucketOf(v uint64) int {
	shift := max(bits.Len64(v)-subBits-1, 0)
	return shift*sub + int(v>>shift)
}

// middle returns the value in the middle of a bucket.
func middle(i int) time.Duration {
	shift := max(i/sub-1, 0)
	low := uint64(i-shift*sub) << shift
	return time.Duration(low + (uint64(1)<<shift)/2)
}
