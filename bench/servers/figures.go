package main

import "example.com/relay/internal/figures"

// figures returns what was measured, for plots, bounds and costs.
func (res *results) figures() *figures.Run {
	run, direct := res.machine.NewRun(res.began, nil), res.rows[0]
	for _, w := range res.servers() {
		add := func(what, unit string, values ...float64) { run.Add(w.name, w.c.platform, what, unit, values...) }
		add("start", "ms", w.start...)
		add("short answer, added", "ms", figures.Added(w.chatP50, direct.chatP50)...)
		add("event, added", "ms", figures.Added(w.lagP50, direct.lagP50)...)
		add("RSS", "MiB", w.warm...)
		add("events that came together", "", float64(w.together))
	}
	return run
}
