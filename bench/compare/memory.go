package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/load"
)

// memoryRound measures how soon new processes answer, and what idle streams cost
// them: they have no memory left from other work.
func (res *results) memoryRound(ctx context.Context, r *rig) error {
	for _, c := range contenders {
		w := res.row(c.name, plain)
		if w == nil || w.c.process == nil || c.name == nameBare { // the last differs in nothing that is held
			continue
		}
		fresh, err := c.start(ctx, r, plain)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		ready, err := firstAnswer(fresh)
		var s sample
		if err == nil {
			s, err = idleStreams(ctx, fresh, res.plan.idleStreams)
			s[startup] = ready
		}
		fresh.stop()
		if err != nil {
			return fmt.Errorf("%s, new process: %w", c.name, err)
		}
		w.memory = append(w.memory, s)
	}
	return nil
}

// firstAnswer returns how many ms after its start a process has given its first
// answer.
func firstAnswer(c *running) (float64, error) {
	client := load.NewClient(c.addr, time.Minute)
	defer client.Close()
	err := client.Do(upstream.Chat.Request(c.addr))
	return micros(c.process.Age()) / 1000, err
}

// idleStreams returns by how much each of n idle streams makes c grow, then each
// of twice as many.
func idleStreams(ctx context.Context, c *running, n int) (s sample, err error) {
	load.Load{Addr: c.addr, Request: upstream.Chat.Request(c.addr), Clients: clients, For: 50 * time.Millisecond}.Run(ctx)
	before, err := c.usage()
	if err != nil {
		return s, err
	}
	var open []*load.Client
	defer func() {
		for _, client := range open {
			client.Close()
		}
	}()
	for _, m := range []metric{idle1, idle2} {
		more, err := openStreams(c.addr, n)
		open = append(open, more...)
		if err != nil {
			return s, err
		}
		after, err := c.usage()
		if err != nil {
			return s, err
		}
		s[m] = float64(after.RSS-before.RSS) / float64(len(open)) / (1 << 10)
	}
	return s, ctx.Err()
}

// openStreams opens n streams, each of which has had the only event it will get.
// They must be closed even if there was an error.
func openStreams(addr string, n int) ([]*load.Client, error) {
	streams := make([]*load.Client, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range streams {
		streams[i] = load.NewClient(addr, time.Minute)
		wg.Go(func() {
			if errs[i] = streams[i].Open(upstream.Idle.Request(addr)); errs[i] == nil {
				_, errs[i] = streams[i].NextEvent()
			}
		})
	}
	wg.Wait()
	return streams, errors.Join(errs...)
}
