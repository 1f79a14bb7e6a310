package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"example.com/relay/internal/build"
	"example.com/relay/internal/figures"
)

// smokeSuite is what the flag -suite calls the smoke test of the relay's speed.
const smokeSuite = "smoke"

const (
	// maxOverFloor is what the relay's CPU time per request may be at most, as a
	// multiple of the floor's in the same run. When that was set, it was 1.26 on a
	// machine by AMD and 1.5 to 1.75 on one by Intel, where a run varies by 0.1.
	maxOverFloor = 2

	// smokeRounds of smokeLength for each of them are a measurement. They are short, so
	// that a disturbance of the machine hits both.
	smokeRounds = 9
	smokeLength = 500 * time.Millisecond
)

var errSlow = errors.New("the relay has become slow")

// smoke fails if the relay takes too much CPU time per request, compared with a floor.
// Ratios hold on any machine; absolute figures do not.
func smoke(ctx context.Context, stdout, progress io.Writer) error {
	if runtime.GOOS != "linux" {
		fmt.Fprintln(stdout, "not measured: CPU times of processes are read from Linux's /proc")
		return nil
	}
	r, err := newRig(ctx, progress)
	if err != nil {
		return err
	}
	defer r.close()
	relay := &row{contender: contender{name: nameRelay, on: plain, program: build.Relay, start: startWhole}}
	floor := &row{contender: contender{name: nameFloor, on: plain, start: startRole(roleFloor)}}
	if relay.built, err = r.build(ctx, relay.program, false); err != nil {
		return err
	}
	res := &results{rows: []*row{relay, floor}, plan: plan{chatWarm: 50 * time.Millisecond, chat: smokeLength}}
	defer res.stop()
	if err := res.start(ctx, r); err != nil {
		return err
	}
	return judgeSpeed(stdout, func() ([]float64, error) {
		relay.values, floor.values = nil, nil
		for i := range smokeRounds {
			if err := res.round(ctx, i, res.rows,
				func(w *row) error { return w.measureChat(ctx, r, res.plan) }); err != nil {
				return nil, err
			}
		}
		return relay.compared(cpu, floor), nil
	})
}

// judgeSpeed returns an error if the median of what measure returns is too high twice
// in a row.
func judgeSpeed(stdout io.Writer, measure func() ([]float64, error)) error {
	for range 2 {
		ratios, err := measure()
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "CPU per request: %s times that of %q, which may be %s at most\n", figures.Spread(ratios),
			nameFloor, figures.Format(maxOverFloor))
		if figures.Median(ratios) <= maxOverFloor {
			return nil
		}
	}
	return errSlow
}
