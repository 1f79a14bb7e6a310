package regions

import (
	"context"
	"time"
)

// Flap has fault come and go every half of period, until ctx ends; then there is
// none.
func (f *Front) Flap(ctx context.Context, fault Fault, period time.Duration) error {
	turn := time.NewTicker(period / 2)
	defer turn.Stop()
	defer f.Set(None) //nolint:errcheck // closed, then
	for next, other := fault, None; ; next, other = other, next {
		if err := f.Set(next); err != nil {
			return err
		}
		select {
		case <-turn.C:
		case <-ctx.Done():
			return nil
		}
	}
}
