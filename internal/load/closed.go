package load

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"sync"
	"time"
)

// A Load is a closed loop: each client sends its next request when it has the
// response to the last. So a slow relay gets fewer requests, and its latencies are
// those under the load that it can sustain.
type Load struct {
	Addr    string
	TLS     *tls.Config // if not nil, clients use TLS
	Request []byte
	Clients int
	For     time.Duration // no request begins later
	Events  bool          // the response is a stream of events with timestamps
	Apart   time.Duration // between the starts of two clients, so that streams do not begin all at once
}

// A Result is what all clients of a Load or a Steady saw.
type Result struct {
	Elapsed  time.Duration
	Requests int // with a complete response
	Failures int
	Failure  error // the first of them

	Latency Histogram // from a request to the end of its response
	First   Histogram // to its first event
	Lag     Histogram // of each event

	Together int       // events that came in the same read as the one before
	Late     Histogram // how late requests were sent; of a Steady only
}

// grace is how long a response may take beyond the end of its load.
const grace = 10 * time.Second

// Run runs the load and returns the result. It stops early if ctx ends.
func (l Load) Run(ctx context.Context) *Result {
	ctx, cancel := context.WithTimeout(ctx, l.For)
	defer cancel()
	results := make([]*Result, l.Clients)
	start := time.Now()
	var wg sync.WaitGroup
	for i := range results {
		results[i] = new(Result)
		wg.Go(func() {
			time.Sleep(time.Duration(i) * l.Apart)
			l.loop(ctx, results[i])
		})
	}
	wg.Wait()
	total := &Result{Elapsed: time.Since(start)}
	for _, res := range results {
		total.merge(res)
	}
	return total
}

// loop is the life of one client.
func (l Load) loop(ctx context.Context, res *Result) {
	c := NewClient(l.Addr, l.For+grace, l.TLS)
	defer c.Close()
	defer func() { res.Together = c.Together() }()
	for ctx.Err() == nil {
		begin := time.Now()
		var err error
		if l.Events {
			err = res.stream(c, l.Request)
		} else {
			err = c.Do(l.Request)
		}
		res.add(time.Since(begin), err)
		if err != nil {
			time.Sleep(time.Millisecond) // do not spin on a server that is gone
		}
	}
}

// add counts a response.
func (res *Result) add(took time.Duration, err error) {
	if err == nil {
		res.Requests++
		res.Latency.Record(took)
		return
	}
	if res.Failures++; res.Failure == nil {
		res.Failure = err
	}
}

// stream reads one stream to its end.
func (res *Result) stream(c *Client, request []byte) error {
	if err := c.Open(request); err != nil {
		return err
	}
	for first := true; ; first = false {
		lag, err := c.NextEvent()
		if errors.Is(err, io.EOF) && !first {
			return nil
		}
		if err != nil {
			return err
		}
		if first {
			res.First.Record(time.Since(c.sentAt))
		}
		res.Lag.Record(lag)
	}
}

func (res *Result) merge(other *Result) {
	res.Requests += other.Requests
	res.Failures += other.Failures
	if res.Failure == nil {
		res.Failure = other.Failure
	}
	res.Latency.Merge(&other.Latency)
	res.First.Merge(&other.First)
	res.Lag.Merge(&other.Lag)
	res.Together += other.Together
	res.Late.Merge(&other.Late)
}
