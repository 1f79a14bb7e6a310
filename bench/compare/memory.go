package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"example.com/relay/bench/load"
	"example.com/relay/bench/upstream"
)

// memoryRound measures what idle streams cost new processes, which have no
// memory left from other work.
func (res *results) memoryRound(ctx context.Context, r *rig) error {
	for _, c := range contenders {
		fresh, err := c.start(ctx, r)
		if errors.Is(err, errNotInstalled) || err == nil && fresh.process == nil {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		bytes, err := idleStreamBytes(ctx, fresh, res.plan.idleStreams)
		fresh.stop()
		if err != nil {
			return fmt.Errorf("%s, idle streams: %w", c.name, err)
		}
		for _, row := range res.rows {
			if row.name == c.name {
				row.memory = append(row.memory, sample{idle: bytes / (1 << 10)})
			}
		}
	}
	return nil
}

// idleStreamBytes returns by how much each of n idle streams makes c grow.
func idleStreamBytes(ctx context.Context, c *running, n int) (float64, error) {
	load.Load{Addr: c.addr, Request: upstream.Chat.Request(c.addr), Clients: clients, For: 50 * time.Millisecond}.Run(ctx)
	before, err := c.usage()
	if err != nil {
		return 0, err
	}
	streams := make([]*load.Client, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range streams {
		streams[i] = load.NewClient(c.addr, 20*time.Second)
		defer streams[i].Close()
		wg.Go(func() {
			if errs[i] = streams[i].Open(upstream.Idle.Request(c.addr)); errs[i] == nil {
				_, errs[i] = streams[i].NextEvent()
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	after, err := c.usage()
	return float64(after.RSS-before.RSS) / float64(n), err
}
