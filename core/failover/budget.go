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

// A budget bounds the retries of all requests together, so that upstreams in
// trouble are not given more load. The idea is Finagle's retry budget. Retries of
// each reason have a budget of their own: those that a client can provoke must not
// use up what others need when an upstream is gone.
// It is safe for concurrent use.
type budget struct {
	mu       sync.Mutex
	second   int64 // of the slot that is filled now
	requests [budgetSpan]int
	retries  [budgetReasons][budgetSpan]int
}

// A reason says why a request is retried.
type reason int

const (
	failing  reason = iota // the upstream failed
	provoked               // the request itself may have provoked the response

	budgetReasons = iota
)

// request counts a request.
func (b *budget) request() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests[b.slot()]++
}

// retry reports whether one more attempt for why is within its budget, and
// counts it.
func (b *budget) retry(why reason) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	slot := b.slot()
	requests, retries := 0, 0
	for i := range budgetSpan {
		requests += b.requests[i]
		retries += b.retries[why][i]
	}
	if float64(retries+1) > budgetShare*float64(requests)+budgetFloor*budgetSpan {
		return false
	}
	b.retries[why][slot]++
	return true
}

// slot returns the slot of the present second, and empties those that passed.
func (b *budget) slot() int {
	second := time.Now().Unix()
	if passed := second - b.second; passed < 0 || passed >= budgetSpan {
		b.requests, b.retries = [budgetSpan]int{}, [budgetReasons][budgetSpan]int{}
		b.second = second
	}
	for ; b.second < second; b.second++ {
		next := (b.second + 1) % budgetSpan
		b.requests[next] = 0
		for why := range b.retries {
			b.retries[why][next] = 0
		}
	}
	return int(second % budgetSpan)
}
