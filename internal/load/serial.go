package load

import (
	"context"
	"time"
)

// Serial sends a request n times over one connection, each when the answer to
// the last is there, and returns how long the answers took. The connection lives
// no longer than life.
func Serial(ctx context.Context, addr string, request []byte, n int, life time.Duration) (*Histogram, error) {
	client := NewClient(addr, life)
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

// Turns calls each for all contenders, another one first for every i, so that
// what disturbs the machine hits all of them. It stops at the first error.
func Turns[T any](i int, contenders []T, each func(T) error) error {
	for j := range contenders {
		if err := each(contenders[(i+j)%len(contenders)]); err != nil {
			return err
		}
	}
	return nil
}
