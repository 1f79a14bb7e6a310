package main

import (
	"strings"
	"testing"
	"time"

	"example.com/relay/bench/upstream"
)

func TestStreamsReport(t *testing.T) {
	res := &results{plan: streamsSuite.full, began: time.Now(), rounds: 2, missing: []string{"Caddy: not installed"}}
	for name, factor := range map[string]float64{nameRelay: 2, nameNginx: 1} {
		w := &row{contender: contender{name: name, on: plain}, running: new(running),
			values: make(map[metric][]float64)}
		for _, n := range streamCounts {
			w.values[manyCPU(n)] = []float64{20 * factor, 30 * factor}
			w.values[manyLost(n)] = []float64{0, 3 * (factor - 1)}
		}
		res.rows = append(res.rows, w)
	}
	report := string(res.streamsReport())
	for _, want := range []string{"### 1,000 streams", "### 5,000 streams", "### 10,000 streams", "CPU × nginx",
		"| lost |", "Caddy: not installed", "To repeat"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	if strings.Contains(report, "NaN") {
		t.Errorf("the report has figures that were not measured:\n%s", report)
	}
	res.rows = res.rows[:0]
	if report := string(res.streamsReport()); strings.Contains(report, "× nginx") {
		t.Errorf("the report compares with what is missing:\n%s", report)
	}
}

// What the suite measures of a process, here with a few streams that go straight to the
// upstream.
func TestMeasureMany(t *testing.T) {
	up, err := upstream.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(up.Close)
	r := &rig{upstreams: map[string]string{plain: up.Addr()}}
	w := &row{contender: contender{name: nameDirect, on: plain, start: startDirect}}
	p := plan{budget: time.Minute, streams: []int{5, 10}, settle: upstream.EndlessGap, receive: upstream.EndlessGap}
	if err := w.measure(func(w *row) error { return w.measureMany(t.Context(), r, p) }); err != nil {
		t.Fatal(err)
	}
	for _, n := range p.streams {
		if lost := w.sum(manyLost(n)); len(w.values[manyLost(n)]) != 1 || lost != 0 {
			t.Errorf("%d streams lost %v events", n, w.values[manyLost(n)])
		}
		if w.median(manyP99(n)) <= 0 || w.median(manyOpen(n)) <= 0 {
			t.Errorf("%d streams: p99 = %v, opened in %v", n, w.values[manyP99(n)], w.values[manyOpen(n)])
		}
	}
}
