package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/build"
	"example.com/relay/internal/figures"
	"example.com/relay/internal/load"
)

// The suite flat shows that streams cost the same after half an hour as at first.
var flatSuite = suite{
	full: plan{budget: 40 * time.Minute, rounds: 1, streams: []int{2000}, settle: 10 * time.Second,
		receive: 10 * time.Second, samples: 7, between: 5 * time.Minute},
	quick: plan{budget: time.Minute, rounds: 1, streams: []int{500}, settle: 2 * time.Second,
		receive: 2 * time.Second, samples: 3, between: 3 * time.Second},
	contenders: with(kinds[:1], contender{name: nameRelay, program: build.Relay, start: startWhole}),
	measure:    (*results).measureFlat,
	report:     (*results).flatReport,
}

// What is measured in each sample.
func flatMemory(i int) metric { return flatMetric("resident", i, "MiB") }
func flatCPU(i int) metric    { return flatMetric("CPU/event", i, "µs") }
func flatP50(i int) metric    { return flatMetric("event p50", i, "µs") }
func flatP99(i int) metric    { return flatMetric("event p99", i, "µs") }
func flatLost(i int) metric   { return flatMetric("lost events and streams", i, "") }

func flatMetric(what string, i int, unit string) metric {
	return metric{fmt.Sprintf("%s, sample %d", what, i+1), unit}
}

func (res *results) measureFlat(ctx context.Context, r *rig) error {
	defer res.stop()
	if err := res.start(ctx, r); err != nil {
		return err
	}
	return res.allRounds(ctx, r, func(w *row) error { return w.measureOverTime(ctx, r, res.plan) })
}

// measureOverTime opens streams and samples what they cost. Events are counted between
// the samples, too: one that is lost is lost in the sample that follows.
func (w *row) measureOverTime(ctx context.Context, r *rig, p plan) error {
	streams := load.NewStreams(w.running.addr, upstream.Endless.Request(w.running.addr), p.budget)
	defer streams.Close()
	if err := streams.Grow(ctx, fitting(p.streams[0])); err != nil {
		return err
	}
	pause := p.settle
	for i := range p.samples {
		r.say("sample %d of %d", i+1, p.samples)
		waited, err := streams.Receive(ctx, pause)
		if err != nil {
			return err
		}
		before, err := w.running.usage()
		if err != nil {
			return err
		}
		got, err := streams.Receive(ctx, p.receive)
		if err != nil {
			return err
		}
		after, err := w.running.usage()
		if err != nil {
			return err
		}
		w.add(flatMemory(i), float64(after.RSS)/(1<<20))
		w.add(flatCPU(i), figures.Micros(after.CPU-before.CPU)/float64(max(got.Events, 1)))
		w.add(flatP50(i), figures.Micros(got.Lag.Quantile(0.5)))
		w.add(flatP99(i), figures.Micros(got.Lag.Quantile(0.99)))
		w.add(flatLost(i), float64(waited.Lost+got.Lost+got.Ended))
		pause = p.between - p.receive
	}
	return nil
}

// flatReport writes the results of the suite flat as Markdown.
func (res *results) flatReport() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `## Streams over time

%s streams of the relay that stay open, with one event every %s s each. Each row is a sample of %v; what was lost
since the row before counts as well.

`, thousands(fitting(res.plan.streams[0])), figures.Format(upstream.EndlessGap.Seconds()), res.plan.receive)
	b.WriteString(figures.Header("resident, MiB", "µs CPU/event", "delay p50 µs", "delay p99 µs", "lost"))
	w := res.row(nameRelay, plain)
	for i := range res.plan.samples {
		fmt.Fprintf(&b, "| after %v | %s | %s | %s | %s | %s |\n", time.Duration(i)*res.plan.between,
			value(flatMemory(i))(w), value(flatCPU(i))(w), value(flatP50(i))(w), value(flatP99(i))(w),
			figures.Thousands(w.sum(flatLost(i))))
	}
	b.WriteString("\nHow this was measured:\n\n" + res.machine.Lines(res.began, res.took))
	b.WriteString("- To repeat: `go run ./bench -suite flat`, with -quick for a rough look.\n")
	res.writeFailures(&b)
	return b.Bytes()
}
