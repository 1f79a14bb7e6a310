package lambdaemu

import (
	"io"
	"time"
)

// The pace of Lambda's streams.
const (
	burst  = 6 << 20
	rate   = 2 << 20 // bytes per second
	refill = 125 * time.Millisecond
)

// bucket is a token bucket that begins full. It is refilled in steps, as
// Lambda's is, not evenly.
type bucket struct {
	tokens int
	filled time.Time // when the last step was
}

func newBucket() *bucket { return &bucket{tokens: burst, filled: time.Now()} }

// take takes up to n tokens, and waits if there are none.
func (b *bucket) take(n int) int {
	b.fill()
	for b.tokens == 0 {
		time.Sleep(time.Until(b.filled.Add(refill)))
		b.fill()
	}
	n = min(n, b.tokens)
	b.tokens -= n
	return n
}

func (b *bucket) fill() {
	steps := int(time.Since(b.filled) / refill)
	b.filled = b.filled.Add(time.Duration(steps) * refill)
	b.tokens = min(burst, b.tokens+steps*int(rate*refill/time.Second))
}

// paced writes no faster than its bucket allows.
type paced struct {
	w      io.Writer
	bucket *bucket
}

func (p *paced) Write(b []byte) (written int, err error) {
	for written < len(b) && err == nil {
		n := p.bucket.take(len(b) - written)
		n, err = p.w.Write(b[written : written+n])
		written += n
	}
	return written, err
}
