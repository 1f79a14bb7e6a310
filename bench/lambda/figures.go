package main

import "example.com/relay/internal/figures"

// figures returns what was measured, for plots, bounds and costs.
func (res *results) figures() *figures.Run {
	run, direct := res.machine.NewRun(res.began, nil), res.rows[0]
	for _, w := range res.functions() {
		add := func(what, unit string, values ...float64) { run.Add(w.name, "AWS Lambda", what, unit, values...) }
		add("start", "ms", w.init...)
		add("first answer", "ms", w.first...)
		add("short answer, added", "ms", figures.Added(w.chatP50, direct.chatP50)...)
		add("event, added", "ms", figures.Added(w.lagP50, direct.lagP50)...)
		add("RSS", "MiB", w.warm...)
		add("events that came together", "", float64(w.together))
		add("zip for arm64", "MB", float64(w.built.inZip["arm64"])/1e6)
	}
	return run
}
