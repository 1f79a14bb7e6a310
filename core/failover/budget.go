package failover

import (
	"sync"
	"time"
)

const (
	// Attempts beyond a request's first are at most budgetShare of the requests,
	// and budgetFloor for each second, over budgetSpan.
	budgetShare = 0.2
	budgetFloor = 3
	budgetSpan  = 10 // seconds
)

// A budget bounds the attempts beyond the first of all requests together, so
// that upstreams in trouble are not given more of it. (The idea is Finagle's
// retry budget.) It is safe for concurrent use.
type budget struct {
	mu       sync.Mutex
	second   int64 // of the slot that is filled now
	requests [budgetSpan]int
	retries  [budgetSpan]int
}

// request counts a request.
func (b *budget) request() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests[b.slot()]++
}

// retry reports whether one more attempt is within the budget, and counts it.
func (b *budget) retry() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	slot := b.slot()
	requests, retries := 0, 0
	for i := range budgetSpan {
		requests += b.requests[i]
		retries += b.retries[i]
	}
	if float64(retries+1) > budgetShare*float64(requests)+budgetFloor*budgetSpan {
		return false
	}
	b.retries[slot]++
	return true
}

// slot returns the slot of the present second, and empties those that passed.
func (b *budget) slot() int {
	second := time.Now().Unix()
	if passed := second - b.second; passed < 0 || passed >= budgetSpan {
		b.requests, b.retries = [budgetSpan]int{}, [budgetSpan]int{}
		b.second = second
	}
	for ; b.second < second; b.second++ {
		next := (b.second + 1) % budgetSpan
		b.requests[next], b.retries[next] = 0, 0
	}
	return int(second % budgetSpan)
}
