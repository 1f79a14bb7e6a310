package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/figures"
	"example.com/relay/internal/load"
)

// memoryRound measures the first response of new processes, and what idle streams
// cost them; new, because they hold no memory from other work.
func (res *results) memoryRound(ctx context.Context, r *rig, i int) error {
	rows := slices.DeleteFunc(res.at(plain), func(w *row) bool {
		// whose streams hold the same
		return w.running.process == nil || w.chatsOnly() || w.name == nameBare || w.name == nameUsage
	})
	return res.round(ctx, i, rows, func(w *row) error {
		fresh, err := w.start(ctx, r, w)
		if err != nil {
			return err
		}
		defer fresh.stop()
		client := load.NewClient(fresh.addr, life, nil)
		defer client.Close()
		if err := client.Do(upstream.Chat.Request(fresh.addr)); err != nil {
			return fmt.Errorf("new process: %w", err)
		}
		w.add(startup, figures.Millis(fresh.process.Age()))
		return w.measureIdleStreams(ctx, fresh, res.plan.idleStreams)
	})
}

// measureIdleStreams measures by how much each of n idle streams makes c grow, and
// then each of twice as many.
func (w *row) measureIdleStreams(ctx context.Context, c *running, n int) error {
	load.Load{Addr: c.addr, Request: upstream.Chat.Request(c.addr), Clients: clients,
		For: 50 * time.Millisecond}.Run(ctx)
	before, err := c.usage()
	if err != nil {
		return err
	}
	var open []*load.Client
	defer func() {
		for _, client := range open {
			client.Close()
		}
	}()
	for range 2 {
		more, err := openStreams(c.addr, n)
		open = append(open, more...)
		if err != nil {
			return err
		}
		after, err := c.usage()
		if err != nil {
			return err
		}
		w.add(idleStream(len(open)), float64(after.RSS-before.RSS)/float64(len(open))/(1<<10))
	}
	return ctx.Err()
}

// openStreams opens n streams and reads the only event of each. They must be closed
// even if there was an error.
func openStreams(addr string, n int) ([]*load.Client, error) {
	streams := make([]*load.Client, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range streams {
		streams[i] = load.NewClient(addr, time.Minute, nil)
		wg.Go(func() {
			if errs[i] = streams[i].Open(upstream.Idle.Request(addr)); errs[i] == nil {
				_, errs[i] = streams[i].NextEvent()
			}
		})
	}
	wg.Wait()
	return streams, errors.Join(errs...)
}
