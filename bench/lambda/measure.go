package main

import (
	"context"
	"fmt"
	"time"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/figures"
	"example.com/relay/internal/load"
)

// life is how long anything on one connection may take.
const life = 30 * time.Second

// results are everything that was measured.
type results struct {
	plan    plan
	machine figures.Machine
	began   time.Time
	took    time.Duration

	rounds int // that were completed
	rows   []*row
}

// A row is what was measured of a contender, in ms, µs and MiB.
type row struct {
	name  string
	c     *contender // nil for direct
	built *build

	init, first          []float64 // ms
	firstTLS, againTLS   []float64 // ms
	chatP50, chatP99     []float64 // µs
	lagP50, lagP99       []float64 // µs
	events, together     int       // of these, how many came together with the one before
	idle, warm, warmTLS  []float64 // MiB
	afterJSON, afterFile []float64 // MiB
	inits                []*initTrace
	lost                 losses
}

// functions returns the rows of all contenders but direct.
func (res *results) functions() []*row { return res.rows[1:] }

// measure runs everything in the plan, as long as ctx lets it.
func (res *results) measure(ctx context.Context, r *rig) error {
	steps := []struct {
		name  string
		times int
		each  func(context.Context, *rig, *row) error
	}{
		{"what gets lost", 1, func(ctx context.Context, r *rig, w *row) error { return w.measureLosses(ctx, r, res.plan.freezes) }},
		{"starts", res.plan.starts, func(_ context.Context, r *rig, w *row) error { return w.measureStart(r) }},
		{"starts with TLS", res.plan.starts / 4, func(ctx context.Context, r *rig, w *row) error { return w.measureTLS(ctx, r) }},
		{"memory", res.plan.memory, func(ctx context.Context, r *rig, w *row) error { return w.measureMemory(ctx, r) }},
	}
	for _, step := range steps {
		r.say("%s", step.name)
		for i := range step.times {
			if err := res.turns(i, res.functions(), func(w *row) error { return step.each(ctx, r, w) }); err != nil {
				return fmt.Errorf("%s: %w", step.name, err)
			}
		}
	}
	return res.measureRounds(ctx, r)
}

// turns calls each for all rows, another one first for every i.
func (res *results) turns(i int, rows []*row, each func(*row) error) error {
	return load.Turns(i, rows, func(w *row) error {
		if err := each(w); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		return nil
	})
}

// measureRounds measures warm functions, as long as time suffices.
func (res *results) measureRounds(ctx context.Context, r *rig) error {
	longest := time.Duration(0)
	deadline, _ := ctx.Deadline()
	for ; res.rounds < res.plan.rounds; res.rounds++ {
		if res.rounds > 0 && time.Until(deadline) < longest*5/4 {
			return nil
		}
		began := time.Now()
		r.say("round %d of %d", res.rounds+1, res.plan.rounds)
		err := res.turns(res.rounds, res.rows, func(w *row) error { return w.measureWarm(ctx, r, res.plan.chats) })
		if err != nil {
			return err
		}
		longest = max(longest, time.Since(began))
	}
	return nil
}

// measureWarm measures chats and one stream through a function that is warm.
func (w *row) measureWarm(ctx context.Context, r *rig, chats int) error {
	addr := r.upstream.Addr()
	if w.c != nil {
		f, err := w.serve(r.url(), nil)
		if err != nil {
			return err
		}
		defer f.close()
		addr = f.addr
	}
	if _, err := chat(ctx, addr, 100); err != nil {
		return err
	}
	latency, err := chat(ctx, addr, chats)
	if err != nil {
		return err
	}
	w.chatP50 = append(w.chatP50, figures.Micros(latency.Quantile(0.5)))
	w.chatP99 = append(w.chatP99, figures.Micros(latency.Quantile(0.99)))
	lag, together, err := load.Stream(ctx, addr, upstream.Slow.Request(addr), upstream.EventCount, life)
	if err != nil {
		return err
	}
	w.lagP50 = append(w.lagP50, figures.Micros(lag.Quantile(0.5)))
	w.lagP99 = append(w.lagP99, figures.Micros(lag.Quantile(0.99)))
	w.events += lag.Count()
	w.together += together
	return nil
}

// chat asks n times, one after the other: a function takes one at a time.
func chat(ctx context.Context, addr string, n int) (*load.Histogram, error) {
	return load.Serial(ctx, addr, upstream.Chat.Request(addr), n, life)
}
