package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/relay/bench/doc"
	"example.com/relay/bench/load"
	"example.com/relay/bench/proc"
	"example.com/relay/bench/upstream"
)

// clients are how many have a request under way at a time.
const clients = 16

// mostFailures is the share of requests that may fail before a measurement is
// worth nothing. A few do with the stock proxy, whose server closes the request
// body under its transport when the answer begins; the report counts them.
const mostFailures = 0.2

// results are everything that was measured.
type results struct {
	plan    plan
	machine doc.Machine
	began   time.Time
	took    time.Duration

	rounds  int // that were completed
	rows    []*row
	inside  benchmarks // in one process
	missing []string   // contenders that are not installed
}

// A row is what was measured of a contender.
type row struct {
	name   string
	c      *running
	chat   series
	stream series
	memory series

	asked, failed int // requests
	failure       error
}

// measure runs everything in the plan, as long as ctx lets it.
func (res *results) measure(ctx context.Context, r *rig) (err error) {
	if res.plan.benchtime != "" {
		r.say("benchmarks in one process")
		if res.inside, err = runBenchmarks(ctx, res.plan.benchtime); err != nil {
			return err
		}
	}
	defer res.stop()
	if err := res.start(ctx, r); err != nil {
		return err
	}
	for i := range res.plan.memoryRounds {
		r.say("idle streams, round %d of %d", i+1, res.plan.memoryRounds)
		if err := res.memoryRound(ctx, r); err != nil {
			return err
		}
	}
	for res.rounds < res.plan.rounds && !res.shortOfTime(ctx) {
		r.say("round %d of %d", res.rounds+1, res.plan.rounds)
		if err := res.round(ctx, r); err != nil {
			return err
		}
		res.rounds++
	}
	return nil
}

// start starts the contenders that are installed.
func (res *results) start(ctx context.Context, r *rig) error {
	for _, c := range contenders {
		started, err := c.start(ctx, r)
		if errors.Is(err, errNotInstalled) {
			res.missing = append(res.missing, c.name)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		res.rows = append(res.rows, &row{name: c.name, c: started})
	}
	return nil
}

func (res *results) stop() {
	for _, row := range res.rows {
		row.c.stop()
	}
}

// shortOfTime reports whether another round may not fit. The first one always
// begins.
func (res *results) shortOfTime(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	each := time.Duration(res.plan.chatWarm+res.plan.chat+res.plan.stream)*time.Millisecond + time.Second
	return ok && res.rounds > 0 && time.Until(deadline) < time.Duration(len(res.rows))*each
}

// round measures every contender once, each time with another one first.
func (res *results) round(ctx context.Context, r *rig) error {
	for i := range res.rows {
		row := res.rows[(i+res.rounds)%len(res.rows)]
		if err := row.measureChat(ctx, r, res.plan); err != nil {
			return fmt.Errorf("%s, chat: %w", row.name, err)
		}
		if err := row.measureStream(ctx, res.plan); err != nil {
			return fmt.Errorf("%s, streams: %w", row.name, err)
		}
	}
	return nil
}

// measureChat takes a sample of short answers.
func (w *row) measureChat(ctx context.Context, r *rig, p plan) error {
	l := load.Load{Addr: w.c.addr, Request: upstream.Chat.Request(w.c.addr), Clients: clients, For: millis(p.chatWarm)}
	l.Run(ctx)
	l.For = millis(p.chat)
	before, err := upstream.Connections(r.upstream)
	if err != nil {
		return err
	}
	got, used, err := w.run(ctx, l)
	if err != nil {
		return err
	}
	after, err := upstream.Connections(r.upstream)
	if err != nil {
		return err
	}
	requests := float64(got.Requests)
	w.chat = append(w.chat, sample{
		cpu:   micros(used.CPU) / requests,
		rate:  requests / got.Elapsed.Seconds(),
		p50:   micros(got.Latency.Quantile(0.5)),
		p99:   micros(got.Latency.Quantile(0.99)),
		rss:   float64(used.RSS) / (1 << 20),
		conns: float64(after-before-1) / requests * 10_000, // the question itself is one
	})
	return nil
}

// measureStream takes a sample of paced event streams.
func (w *row) measureStream(ctx context.Context, p plan) error {
	got, used, err := w.run(ctx, load.Load{
		Addr:    w.c.addr,
		Request: upstream.Paced.Request(w.c.addr),
		Clients: clients,
		For:     millis(p.stream),
		Events:  true,
		Apart:   upstream.PacedCount * upstream.PacedGap / clients,
	})
	if err != nil {
		return err
	}
	w.stream = append(w.stream, sample{
		first:  micros(got.First.Quantile(0.5)),
		lagP50: micros(got.Lag.Quantile(0.5)),
		lagP99: micros(got.Lag.Quantile(0.99)),
		cpu:    micros(used.CPU) / float64(got.Lag.Count()),
	})
	return nil
}

// run puts a load on the contender and returns what came of it, and what the
// contender used: CPU time meanwhile, memory at the end.
func (w *row) run(ctx context.Context, l load.Load) (*load.Result, proc.Usage, error) {
	before, err := w.c.usage()
	if err != nil {
		return nil, before, err
	}
	got := l.Run(ctx)
	if ctx.Err() != nil {
		return nil, before, ctx.Err()
	}
	if got.Requests == 0 || float64(got.Failures) > mostFailures*float64(got.Requests) {
		return nil, before, fmt.Errorf("%d of %d requests failed: %w", got.Failures, got.Failures+got.Requests, got.Failure)
	}
	w.asked += got.Requests + got.Failures
	w.failed += got.Failures
	if w.failure == nil {
		w.failure = got.Failure
	}
	used, err := w.c.usage()
	used.CPU -= before.CPU
	return got, used, err
}

func millis(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
