package main

import "example.com/relay/internal/figures"

// figures returns what was measured, for plots, bounds and costs.
func (res *results) figures() *figures.Run {
	run := res.machine.NewRun(res.began, res.missing)
	for _, w := range res.rows {
		add := func(what, unit string, s series, m metric) {
			run.Add(w.name, w.end.String(), what, unit, s.values(m)...)
		}
		if w.c.process != nil {
			add("CPU/request", "µs", w.chat, cpu)
			add("CPU/event", "µs", w.stream, cpu)
			add("RSS", "MiB", w.chat, rss)
		}
		add("requests/s", "", w.chat, rate)
		add("p50 at a fixed rate", "µs", w.steady, p50)
		add("p99 at a fixed rate", "µs", w.steady, p99)
		add("first event", "µs", w.stream, first)
		add("event p50", "µs", w.stream, lagP50)
		add("event p99", "µs", w.stream, lagP99)
		n := float64(res.plan.idleStreams)
		add("start to first answer", "ms", w.memory, startup)
		add("idle stream of "+figures.Thousands(n), "KiB", w.memory, idle1)
		add("idle stream of "+figures.Thousands(2*n), "KiB", w.memory, idle2)
		if w.events > 0 {
			run.Add(w.name, w.end.String(), "events that came together", "", float64(w.together))
		}
	}
	return run
}
