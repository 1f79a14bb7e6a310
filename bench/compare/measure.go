package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/figures"
	"example.com/relay/internal/load"
	"example.com/relay/internal/proc"
)

// clients are how many have a request under way at a time in a closed loop;
// steadyRate is how many requests begin in a second in an open one.
const (
	clients    = 16
	steadyRate = 200
)

// mostFailures is the share of requests that may fail before a measurement is
// worth nothing. A few do with the stock proxy, whose server closes the request
// body under its transport when the answer begins; the report counts them.
const mostFailures = 0.2

// results are everything that was measured.
type results struct {
	plan    plan
	machine figures.Machine
	began   time.Time
	took    time.Duration

	rounds  int // that were completed
	rows    []*row
	inside  benchmarks // in one process
	missing []string   // contenders that take no part, and why

	relaySize int64 // bytes of the relay's executable
}

// A row is what was measured of a contender with a kind of upstream.
type row struct {
	name   string
	end    end
	c      *running
	chat   series
	steady series
	stream series
	memory series
	bodies [len(bodyCalls)]series

	events, together int // of the events in streams, how many came with the one before
	asked, failed    int // requests
	failure          error
}

// bodyCalls are what is measured of larger bodies.
var bodyCalls = [...]struct {
	name string
	call upstream.Call
}{
	{"answer of 30 KB", upstream.Embeddings},
	{"download of 2 MiB", upstream.Download},
	{"upload of 5 MiB", upstream.Upload},
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
	if err := res.start(ctx, r, contenders); err != nil {
		return err
	}
	for i := range res.plan.memoryRounds {
		r.say("idle streams, round %d of %d", i+1, res.plan.memoryRounds)
		if err := res.memoryRound(ctx, r); err != nil {
			return err
		}
	}
	var each time.Duration
	for res.rounds < res.plan.rounds && !res.shortOfTime(ctx, each) {
		r.say("round %d of %d", res.rounds+1, res.plan.rounds)
		began := time.Now()
		if err := res.round(ctx, r); err != nil {
			return err
		}
		res.rounds++
		each = max(each, time.Since(began))
	}
	return nil
}

// start starts those of contenders that are installed, for each kind of upstream.
func (res *results) start(ctx context.Context, r *rig, contenders []contender) error {
	for _, c := range contenders {
		for _, e := range c.ends {
			started, err := c.start(ctx, r, e)
			if errors.Is(err, errNotInstalled) {
				res.missing = append(res.missing, c.name+": "+err.Error())
				break
			}
			if err != nil {
				return fmt.Errorf("%s, %s: %w", c.name, e, err)
			}
			res.rows = append(res.rows, &row{name: c.name, end: e, c: started})
		}
	}
	return nil
}

func (res *results) stop() {
	for _, row := range res.rows {
		row.c.stop()
	}
}

// shortOfTime reports whether another round may not fit if it takes as long as
// the longest so far. The first one always begins.
func (res *results) shortOfTime(ctx context.Context, each time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ok && res.rounds > 0 && time.Until(deadline) < each+each/10+time.Second
}

// round measures every contender once, each time with another one first.
func (res *results) round(ctx context.Context, r *rig) error {
	return load.Turns(res.rounds, res.rows, func(w *row) error {
		steps := []func() error{
			func() error { return w.measureChat(ctx, r, res.plan) },
			func() error { return w.measureSteady(ctx, res.plan) },
		}
		if w.end == plain {
			steps = append(steps, func() error { return w.measureStream(ctx, res.plan) })
		}
		if w.end == plain && res.rounds < res.plan.bodyRounds {
			steps = append(steps, func() error { return w.measureBodies(ctx, res.plan) })
		}
		for _, step := range steps {
			if err := step(); err != nil {
				return fmt.Errorf("%s, %s: %w", w.name, w.end, err)
			}
		}
		return nil
	})
}

// closed returns a closed loop of a call.
func (w *row) closed(call upstream.Call, ms int) load.Load {
	return load.Load{Addr: w.c.addr, TLS: w.c.tls, Request: call.Request(w.c.addr), Clients: clients, For: millis(ms)}
}

// measureChat takes a sample of short answers.
func (w *row) measureChat(ctx context.Context, r *rig, p plan) error {
	w.closed(upstream.Chat, p.chatWarm).Run(ctx)
	before, err := upstream.Connections(r.url(w.end))
	if err != nil {
		return err
	}
	got, used, err := w.run(ctx, w.closed(upstream.Chat, p.chat).Run)
	if err != nil {
		return err
	}
	after, err := upstream.Connections(r.url(w.end))
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

// measureSteady takes a sample of short answers at a fixed rate.
func (w *row) measureSteady(ctx context.Context, p plan) error {
	l := load.Steady{Addr: w.c.addr, TLS: w.c.tls, Request: upstream.Chat.Request(w.c.addr), Rate: steadyRate, For: millis(p.chatWarm)}
	l.Run(ctx)
	l.For = millis(p.steady)
	got, _, err := w.run(ctx, l.Run)
	if err != nil {
		return err
	}
	w.steady = append(w.steady, sample{
		p50:  micros(got.Latency.Quantile(0.5)),
		p99:  micros(got.Latency.Quantile(0.99)),
		late: micros(got.Late.Quantile(0.5)),
	})
	return nil
}

// measureStream takes a sample of paced event streams.
func (w *row) measureStream(ctx context.Context, p plan) error {
	l := w.closed(upstream.Paced, p.stream)
	l.Events, l.Apart = true, upstream.PacedCount*upstream.PacedGap/clients
	got, used, err := w.run(ctx, l.Run)
	if err != nil {
		return err
	}
	w.events, w.together = w.events+got.Lag.Count(), w.together+got.Together
	w.stream = append(w.stream, sample{
		first:  micros(got.First.Quantile(0.5)),
		lagP50: micros(got.Lag.Quantile(0.5)),
		lagP99: micros(got.Lag.Quantile(0.99)),
		cpu:    micros(used.CPU) / float64(got.Lag.Count()),
	})
	return nil
}

// measureBodies takes a sample of each call with a larger body.
func (w *row) measureBodies(ctx context.Context, p plan) error {
	for i, b := range bodyCalls {
		got, used, err := w.run(ctx, w.closed(b.call, p.body).Run)
		if err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		w.bodies[i] = append(w.bodies[i], sample{
			cpu:  micros(used.CPU) / float64(got.Requests),
			rate: float64(got.Requests) / got.Elapsed.Seconds(),
		})
	}
	return nil
}

// run puts a load on the contender and returns what came of it, and what the
// contender used: CPU time meanwhile, memory at the end.
func (w *row) run(ctx context.Context, put func(context.Context) *load.Result) (*load.Result, proc.Usage, error) {
	before, err := w.c.usage()
	if err != nil {
		return nil, before, err
	}
	got := put(ctx)
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

// at returns the rows with a kind of upstream.
func (res *results) at(e end) []*row {
	return slices.DeleteFunc(slices.Clone(res.rows), func(w *row) bool { return w.end != e })
}

// row returns the row of a contender, or nil if it took no part. One that has no
// HTTP/2 for upstreams stands for itself by its HTTP/1.1 over TLS.
func (res *results) row(name string, e end) *row {
	for _, w := range res.rows {
		if w.name == name && w.end == e {
			return w
		}
	}
	if e == https2 {
		return res.row(name, https1)
	}
	return nil
}

func millis(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
