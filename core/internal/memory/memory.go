// Package memory bounds what a process keeps of requests and responses on top
// of what passes through it: request bodies kept for a retry, and response
// bodies held back until they are complete.
package memory

import "sync/atomic"

const (
	// Max is how much all requests of the process may keep together, in bytes.
	Max = 64 << 20

	// Free is what a request may keep without asking, as nearly all do.
	Free = 64 << 10

	// step is the least that is asked for at a time.
	step = 64 << 10
)

// A Budget is memory that is shared by many. It is safe for concurrent use.
type Budget struct {
	max  int64
	used atomic.Int64
}

// Process is the budget of the process.
var Process = &Budget{max: Max}

// NewBudget returns a budget of max bytes.
func NewBudget(max int64) *Budget { return &Budget{max: max} }

// Used returns how much is taken.
func (b *Budget) Used() int64 { return b.used.Load() }

// take reports whether there were n bytes left, which are then taken.
func (b *Budget) take(n int64) bool {
	if b.used.Add(n) > b.max {
		b.used.Add(-n)
		return false
	}
	return true
}

// A Share is what one user has taken of a budget. The first [Free] bytes are
// not counted. It is not safe for concurrent use.
type Share struct {
	Of    *Budget // if nil, Process
	taken int64
}

func (s *Share) budget() *Budget {
	if s.Of == nil {
		return Process
	}
	return s.Of
}

// Grow reports whether the share may be n bytes. If not, it stays as it is.
func (s *Share) Grow(n int) bool {
	more := int64(n) - Free - s.taken
	if more <= 0 {
		return true
	}
	more = (more + step - 1) / step * step
	if !s.budget().take(more) {
		return false
	}
	s.taken += more
	return true
}

// Release gives everything back.
func (s *Share) Release() {
	if s.taken > 0 {
		s.budget().used.Add(-s.taken)
		s.taken = 0
	}
}
