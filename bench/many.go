package main

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/build"
	"example.com/relay/internal/figures"
	"example.com/relay/internal/load"
)

var streamsSuite = suite{
	full: plan{budget: 6 * time.Minute, rounds: 2, streams: streamCounts, settle: 1500 * time.Millisecond,
		receive: 4 * time.Second},
	quick: plan{budget: 75 * time.Second, rounds: 1, streams: streamCounts[:1], settle: 1100 * time.Millisecond,
		receive: 2 * time.Second},
	contenders: slices.Concat(
		with(kinds[:1], contender{name: nameDirect, start: startDirect}),
		with(kinds[:1], contender{name: nameRelay, program: build.Relay, start: startWhole}),
		with(kinds[:1], contender{name: nameGateway, program: build.Relay, start: startGateway}),
		with(kinds[:1], contender{name: nameNginx, start: startNginx}),
		with(kinds[:1], contender{name: nameHAProxy, start: startHAProxy}),
		with(kinds[:1], contender{name: nameCaddy, start: startCaddy}),
	),
	measure: (*results).measureStreams,
	report:  (*results).streamsReport,
}

// streamCounts are the numbers of streams that are open at the same time.
var streamCounts = []int{1000, 5000, 10_000}

// What is measured of n streams that are open at the same time.
func manyMemory(n int) metric { return manyMetric("memory of a stream", n, "KiB") }
func manyCPU(n int) metric    { return manyMetric("CPU/event", n, "µs") }
func manyP50(n int) metric    { return manyMetric("event p50", n, "µs") }
func manyP99(n int) metric    { return manyMetric("event p99", n, "µs") }
func manyOpen(n int) metric   { return manyMetric("time to open", n, "s") }
func manyLost(n int) metric   { return manyMetric("lost events and streams", n, "") }

func manyMetric(what string, n int, unit string) metric {
	return metric{fmt.Sprintf("%s, %s streams", what, thousands(n)), unit}
}

// measureStreams runs the plan until it or ctx ends.
func (res *results) measureStreams(ctx context.Context, r *rig) error {
	defer res.stop()
	if err := res.start(ctx, r); err != nil {
		return err
	}
	return res.allRounds(ctx, r, func(w *row) error { return w.measureMany(ctx, r, res.plan) })
}

// measureMany opens more and more streams through a new process, which holds no memory
// from other work.
func (w *row) measureMany(ctx context.Context, r *rig, p plan) error {
	fresh, err := w.start(ctx, r, w)
	if err != nil {
		return err
	}
	defer fresh.stop()
	load.Load{Addr: fresh.addr, Request: upstream.Chat.Request(fresh.addr), Clients: clients,
		For: 200 * time.Millisecond}.Run(ctx)
	before, err := fresh.usage()
	if err != nil {
		return err
	}
	streams := load.NewStreams(fresh.addr, upstream.Endless.Request(fresh.addr), p.budget)
	defer streams.Close()
	began, open := time.Now(), 0
	var opening time.Duration // without the time in which events are counted
	for _, n := range p.streams {
		if err := streams.Grow(ctx, fitting(n)); err != nil {
			return err
		}
		opening += time.Since(began)
		open = fitting(n)
		if err := w.countEvents(ctx, fresh, streams, n, p); err != nil {
			return err
		}
		after, err := fresh.usage()
		if err != nil {
			return err
		}
		w.add(manyMemory(n), float64(after.RSS-before.RSS)/float64(open)/(1<<10))
		w.add(manyOpen(n), opening.Seconds())
		began = time.Now()
	}
	return nil
}

// countEvents measures the events of n streams that are open.
func (w *row) countEvents(ctx context.Context, c *running, streams *load.Streams, n int, p plan) error {
	if _, err := streams.Receive(ctx, p.settle); err != nil { // until each has had its second event
		return err
	}
	before, err := c.usage()
	if err != nil {
		return err
	}
	got, err := streams.Receive(ctx, p.receive)
	if err != nil {
		return err
	}
	after, err := c.usage()
	if err != nil {
		return err
	}
	if got.Events == 0 {
		return fmt.Errorf("no event of %d streams: %w", n, got.Error)
	}
	w.add(manyCPU(n), figures.Micros(after.CPU-before.CPU)/float64(got.Events))
	w.add(manyP50(n), figures.Micros(got.Lag.Quantile(0.5)))
	w.add(manyP99(n), figures.Micros(got.Lag.Quantile(0.99)))
	w.add(manyLost(n), float64(got.Lost+got.Ended))
	return nil
}

// spareFiles are the descriptors that a process needs for anything but streams.
const spareFiles = 200

// fitting returns n, or as many streams as a relay has descriptors for, two for each.
func fitting(n int) int {
	return min(n, (maxFiles()-spareFiles)/2/100*100)
}

// maxFiles returns the number of descriptors that a process may have. Go has raised the
// soft limit to the hard one.
func maxFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1024
	}
	return int(min(limit.Max, 1<<20))
}
