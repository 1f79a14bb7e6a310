package load

import (
	"context"
	"fmt"
	"time"
)

// Serial sends a request n times over one connection, one after the other, and
// returns the latencies. The connection times out after life.
func Serial(ctx context.Context, addr string, request []byte, n int, life time.Duration) (*Histogram, error) {
	client := NewClient(addr, life, nil)
	defer client.Close()
	latency := new(Histogram)
	for range n {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		began := time.Now()
		if err := client.Do(request); err != nil {
			return nil, err
		}
		latency.Record(time.Since(began))
	}
	return latency, nil
}

// Stream reads one stream of count events with timestamps. It returns how long
// each was in transit, and how many arrived in the same read as the one before. The
// connection times out after life.
func Stream(ctx context.Context, addr string, request []byte, count int, life time.Duration) (
	lag *Histogram, together int, err error,
) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	client, res := NewClient(addr, life, nil), new(Result)
	defer client.Close()
	if err := res.stream(client, request); err != nil {
		return nil, 0, fmt.Errorf("after %d events: %w", res.Lag.Count(), err)
	}
	if n := res.Lag.Count(); n != count {
		return nil, 0, fmt.Errorf("%d events, not %d", n, count)
	}
	return &res.Lag, client.Together(), nil
}
