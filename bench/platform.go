package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/figures"
	"example.com/relay/internal/load"
)

// warmChats is how many chats warm a process up.
const warmChats = 100

// A step is one of the measurements of processes that are new each time.
type step struct {
	name  string
	times int
	each  func(*row, context.Context, *rig) error
}

// measurePlatform runs the steps for all contenders but direct, which is the first,
// and then measures warm processes in rounds, until the plan or ctx ends.
func (res *results) measurePlatform(ctx context.Context, r *rig, steps []step) error {
	direct, platform := res.rows[0], res.rows[1:]
	for _, step := range steps {
		r.say("%s", step.name)
		for i := range step.times {
			if err := res.round(ctx, i, platform, func(w *row) error { return step.each(w, ctx, r) }); err != nil {
				return fmt.Errorf("%s: %w", step.name, err)
			}
		}
	}
	if err := res.allRounds(ctx, r, func(w *row) error { return w.measureWarm(ctx, r, res.plan) }); err != nil {
		return err
	}
	for _, w := range platform {
		w.values[chatAdded], w.values[chatAddedP99] = w.added(chatP50, direct), w.added(chatP99, direct)
		w.values[eventAdded], w.values[eventAddedP99] = w.added(eventP50, direct), w.added(eventP99, direct)
	}
	return nil
}

// measureStart starts a new process and sends it one request.
func (w *row) measureStart(ctx context.Context, r *rig) error {
	c, err := w.start(ctx, r, w)
	if err != nil {
		return err
	}
	defer c.stop()
	began, took, err := c.askNew(1)
	if err != nil {
		return err
	}
	w.add(start, began)
	w.add(firstResponse, took...)
	return nil
}

// askNew sends a contender its first n requests. It returns how many ms its process
// took to start, and the responses took.
func (c *running) askNew(n int) (start float64, took []float64, err error) {
	client := load.NewClient(c.addr, life, nil)
	defer client.Close()
	request := upstream.Chat.Request(c.addr)
	for range n {
		began := time.Now()
		if err := client.Do(request); err != nil {
			return 0, nil, err
		}
		took = append(took, figures.Millis(time.Since(began)))
	}
	if c.function == nil {
		return c.listened, took, nil
	}
	inits := c.function.Stats().Init // the first request starts its process
	if len(inits) != 1 {
		return 0, nil, errors.New("took more than one process")
	}
	start = figures.Millis(inits[0])
	took[0] -= start
	return start, took, nil
}

// measureCut notes what clients see of a stream that the upstream truncates.
func (w *row) measureCut(ctx context.Context, r *rig) error {
	c, err := w.start(ctx, r, w)
	if err != nil {
		return err
	}
	defer c.stop()
	call := upstream.Cut
	w.words.cut = load.Ending(load.Post(ctx, c.addr, call.Target, call.Type, make([]byte, call.Body), life))
	return nil
}

// measureWarm measures chats and one stream through a process that is warm.
func (w *row) measureWarm(ctx context.Context, r *rig, p plan) error {
	c, err := w.start(ctx, r, w)
	if err != nil {
		return err
	}
	defer c.stop()
	if _, err := chat(ctx, c.addr, warmChats); err != nil {
		return err
	}
	latency, err := chat(ctx, c.addr, p.chats)
	if err != nil {
		return err
	}
	lag, together, err := load.Stream(ctx, c.addr, p.paced.Request(c.addr), p.events, life)
	if err != nil {
		return err
	}
	w.add(chatP50, figures.Micros(latency.Quantile(0.5)))
	w.add(chatP99, figures.Micros(latency.Quantile(0.99)))
	w.addEvents(lag, together)
	return nil
}

// chat sends n chats, one after the other: a function takes one at a time.
func chat(ctx context.Context, addr string, n int) (*load.Histogram, error) {
	return load.Serial(ctx, addr, upstream.Chat.Request(addr), n, life)
}
