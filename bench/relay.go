package main

import (
	"context"
	"fmt"
	"time"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/figures"
	"example.com/relay/internal/load"
	"example.com/relay/internal/proc"
)

var relaySuite = suite{
	full: plan{rounds: 6, bodyRounds: 3, memory: 3, idleStreams: 1000, benchtime: "300ms", budget: 650 * time.Second,
		chatWarm: 150 * time.Millisecond, chat: 900 * time.Millisecond, steady: 1500 * time.Millisecond,
		stream: time.Second, body: 400 * time.Millisecond},
	quick: plan{rounds: 1, bodyRounds: 1, memory: 1, idleStreams: 1000, budget: 150 * time.Second,
		chatWarm: 100 * time.Millisecond, chat: 300 * time.Millisecond, steady: 300 * time.Millisecond,
		stream: 600 * time.Millisecond, body: 100 * time.Millisecond},
	contenders: relayContenders,
	measure:    (*results).measureRelay,
	report:     (*results).relayReport,
}

// clients is the number of clients of a closed loop, each with one request in
// flight; steadyRate is the requests per second of an open loop.
const (
	clients    = 16
	steadyRate = 200
)

// maxFailed is the share of requests above which a measurement is invalid if they
// fail. A few do with the stock proxy, whose server closes the request body while
// its transport reads it when the response begins; the report counts them.
const maxFailed = 0.2

// bodyCalls are the calls with larger bodies.
var bodyCalls = []struct {
	name      string
	call      upstream.Call
	cpu, rate metric
}{
	{"response of 30 KB", upstream.Embeddings, metric{"CPU/response of 30 KB", "µs"},
		metric{"responses of 30 KB/s", ""}},
	{"download of 2 MiB", upstream.Download, metric{"CPU/download of 2 MiB", "µs"}, metric{"downloads of 2 MiB/s", ""}},
	{"upload of 5 MiB", upstream.Upload, metric{"CPU/upload of 5 MiB", "µs"}, metric{"uploads of 5 MiB/s", ""}},
}

// measureRelay runs the plan until it or ctx ends.
func (res *results) measureRelay(ctx context.Context, r *rig) (err error) {
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
	for i := range res.plan.memory {
		r.say("idle streams, round %d of %d", i+1, res.plan.memory)
		if err := res.memoryRound(ctx, r, i); err != nil {
			return err
		}
	}
	return res.allRounds(ctx, r, func(w *row) error {
		steps := []func() error{
			func() error { return w.measureChat(ctx, r, res.plan) },
			func() error { return w.measureSteady(ctx, res.plan) },
		}
		if w.on == plain && !w.chatsOnly() {
			steps = append(steps, func() error { return w.measureStream(ctx, res.plan) })
		}
		if w.on == plain && !w.chatsOnly() && res.rounds < res.plan.bodyRounds {
			steps = append(steps, func() error { return w.measureBodies(ctx, res.plan) })
		}
		for _, step := range steps {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
}

// start starts the contenders that are installed, and drops the rows of others.
func (res *results) start(ctx context.Context, r *rig) error {
	all := res.rows
	res.rows = nil
	for _, w := range all {
		started, err := w.contender.start(ctx, r, w)
		if err != nil {
			if err := res.leaveOut(w, err); err != nil {
				return err
			}
			continue
		}
		w.running = started
		res.rows = append(res.rows, w)
	}
	return nil
}

func (res *results) stop() {
	for _, w := range res.rows {
		w.running.stop()
	}
}

// closed returns a closed loop of a call.
func (w *row) closed(call upstream.Call, length time.Duration) load.Load {
	c := w.running
	return load.Load{Addr: c.addr, TLS: c.tls, Request: c.request(call), Clients: clients, For: length}
}

// measureChat takes a sample of short responses.
func (w *row) measureChat(ctx context.Context, r *rig, p plan) error {
	w.closed(upstream.Chat, p.chatWarm).Run(ctx)
	before, err := upstream.Connections(r.url(w.on))
	if err != nil {
		return err
	}
	got, used, err := w.run(ctx, w.closed(upstream.Chat, p.chat).Run)
	if err != nil {
		return err
	}
	after, err := upstream.Connections(r.url(w.on))
	if err != nil {
		return err
	}
	requests := float64(got.Requests)
	w.add(cpu, figures.Micros(used.CPU)/requests)
	w.add(rate, requests/got.Elapsed.Seconds())
	w.add(loadedP50, figures.Micros(got.Latency.Quantile(0.5)))
	w.add(loadedP99, figures.Micros(got.Latency.Quantile(0.99)))
	w.addUsage(rss, used)
	w.add(conns, float64(after-before-1)/requests*10_000) // the second count itself opened one
	return nil
}

// measureSteady takes a sample of short responses at a fixed rate.
func (w *row) measureSteady(ctx context.Context, p plan) error {
	c := w.running
	l := load.Steady{Addr: c.addr, TLS: c.tls, Request: c.request(upstream.Chat), Rate: steadyRate, For: p.chatWarm}
	l.Run(ctx)
	l.For = p.steady
	got, _, err := w.run(ctx, l.Run)
	if err != nil {
		return err
	}
	w.add(steadyP50, figures.Micros(got.Latency.Quantile(0.5)))
	w.add(steadyP99, figures.Micros(got.Latency.Quantile(0.99)))
	w.add(late, figures.Micros(got.Late.Quantile(0.5)))
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
	w.add(first, figures.Micros(got.First.Quantile(0.5)))
	w.add(eventCPU, figures.Micros(used.CPU)/float64(got.Lag.Count()))
	w.addEvents(&got.Lag, got.Together)
	return nil
}

// measureBodies takes a sample of each call with a larger body.
func (w *row) measureBodies(ctx context.Context, p plan) error {
	for _, b := range bodyCalls {
		got, used, err := w.run(ctx, w.closed(b.call, p.body).Run)
		if err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		w.add(b.cpu, figures.Micros(used.CPU)/float64(got.Requests))
		w.add(b.rate, float64(got.Requests)/got.Elapsed.Seconds())
	}
	return nil
}

// run puts a load on the contender, and returns the result and what the contender
// used: CPU time during the load, memory at its end.
func (w *row) run(ctx context.Context, put func(context.Context) *load.Result) (*load.Result, proc.Usage, error) {
	before, err := w.running.usage()
	if err != nil {
		return nil, before, err
	}
	got := put(ctx)
	if ctx.Err() != nil {
		return nil, before, ctx.Err()
	}
	if got.Requests == 0 || float64(got.Failures) > maxFailed*float64(got.Requests) {
		return nil, before, fmt.Errorf("%d of %d requests failed: %w", got.Failures, got.Failures+got.Requests,
			got.Failure)
	}
	w.asked += got.Requests + got.Failures
	w.failed += got.Failures
	if w.failure == nil {
		w.failure = got.Failure
	}
	used, err := w.running.usage()
	used.CPU -= before.CPU
	return got, used, err
}
