package load

import (
	"context"
	"fmt"
	"time"
)

// Stream reads one stream of count events that have a time in them. It returns
// how long each was on its way, and how many arrived in the same piece as the
// one before. It takes no longer than life.
func Stream(ctx context.Context, addr string, request []byte, count int, life time.Duration) (lag *Histogram, together int, err error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	client, res := NewClient(addr, life), new(Result)
	defer client.Close()
	if err := res.stream(client, request); err != nil {
		return nil, 0, fmt.Errorf("after %d events: %w", res.Lag.Count(), err)
	}
	if n := res.Lag.Count(); n != count {
		return nil, 0, fmt.Errorf("%d events, not %d", n, count)
	}
	return &res.Lag, client.Together(), nil
}
