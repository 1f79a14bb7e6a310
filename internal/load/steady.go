package load

import (
	"context"
	"crypto/tls"
	"runtime"
	"sync"
	"time"
)

// A Steady is an open loop of one request at a fixed rate. Each request is sent
// when it is due, on an idle connection or a new one, and its latency is measured
// from the due time, so that every delay counts, whether the relay, another
// response or this process causes it (there is no coordinated omission). It costs
// little, so that it can share a machine with the relay.
type Steady struct {
	Addr    string
	TLS     *tls.Config // if not nil, clients use TLS
	Request []byte
	Rate    int           // requests per second
	For     time.Duration // no request is due later
}

// Run runs the load, waits for the last response and returns the result. It stops
// early if ctx ends.
func (s Steady) Run(ctx context.Context) *Result {
	runtime.LockOSThread() // sleepUntil blocks the thread
	defer runtime.UnlockOSThread()
	total, began := new(Result), time.Now()
	var (
		mu      sync.Mutex // of total and idle
		idle    []*Client
		sending sync.WaitGroup
	)
	for i := 0; ctx.Err() == nil && dueAt(i, s.Rate) < s.For; i++ {
		due := began.Add(dueAt(i, s.Rate))
		sleepUntil(due)
		mu.Lock()
		var c *Client
		if n := len(idle); n > 0 {
			c, idle = idle[n-1], idle[:n-1]
		} else {
			c = NewClient(s.Addr, s.For+grace, s.TLS)
		}
		mu.Unlock()
		sending.Go(func() {
			late := time.Since(due)
			err := c.Do(s.Request)
			took := time.Since(due)
			mu.Lock()
			defer mu.Unlock()
			total.Late.Record(late)
			total.add(took, err)
			idle = append(idle, c)
		})
	}
	sending.Wait()
	for _, c := range idle {
		c.Close()
	}
	total.Elapsed = time.Since(began)
	return total
}
