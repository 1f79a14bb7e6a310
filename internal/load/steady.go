package load

import (
	"context"
	"crypto/tls"
	"runtime"
	"sync"
	"time"
)

// A Steady is an open loop of one request at a fixed rate. Each request begins
// when it is due, on a connection that is free then or on a new one, and its
// latency is measured from that time: what delays a request, be it the relay,
// another answer or this process, is never left out (there is no coordinated
// omission). It costs little, so that it can share a machine with the relay.
type Steady struct {
	Addr    string
	TLS     *tls.Config // if not nil, clients speak TLS
	Request []byte
	Rate    int           // requests per second
	For     time.Duration // no request is due later
}

// Run puts the load on, waits for the last answer and returns what came of it.
// It ends early with ctx.
func (s Steady) Run(ctx context.Context) *Result {
	runtime.LockOSThread() // which sleepUntil keeps asleep
	defer runtime.UnlockOSThread()
	total, began := new(Result), time.Now()
	var (
		mu     sync.Mutex // of total and idle
		idle   []*Client
		asking sync.WaitGroup
	)
	for i := 0; ctx.Err() == nil && dueAt(i, s.Rate) < s.For; i++ {
		due := began.Add(dueAt(i, s.Rate))
		sleepUntil(due)
		mu.Lock()
		var c *Client
		if n := len(idle); n > 0 {
			c, idle = idle[n-1], idle[:n-1]
		} else {
			c = NewTLSClient(s.Addr, s.For+grace, s.TLS)
		}
		mu.Unlock()
		asking.Go(func() {
			late := time.Since(due)
			err := c.Do(s.Request)
			took := time.Since(due)
			mu.Lock()
			defer mu.Unlock()
			total.add(late, took, err)
			idle = append(idle, c)
		})
	}
	asking.Wait()
	for _, c := range idle {
		c.Close()
	}
	total.Elapsed = time.Since(began)
	return total
}

// add counts an answer.
func (res *Result) add(late, took time.Duration, err error) {
	res.Late.Record(late)
	if err == nil {
		res.Requests++
		res.Latency.Record(took)
		return
	}
	if res.Failures++; res.Failure == nil {
		res.Failure = err
	}
}
