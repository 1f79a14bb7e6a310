package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"example.com/relay/bench/upstream"
)

// What the suite measures of a process, here with a few streams that go straight to the
// upstream, and its report.
func TestMeasureOverTime(t *testing.T) {
	up, err := upstream.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(up.Close)
	r := &rig{upstreams: map[string]string{plain: up.Addr()}, progress: io.Discard}
	w := &row{contender: contender{name: nameRelay, on: plain, start: startDirect}, running: &running{addr: up.Addr()}}
	p := plan{budget: time.Minute, streams: []int{5}, settle: upstream.EndlessGap, receive: upstream.EndlessGap,
		samples: 2, between: 2 * upstream.EndlessGap}
	if err := w.measure(func(w *row) error { return w.measureOverTime(t.Context(), r, p) }); err != nil {
		t.Fatal(err)
	}
	for i := range p.samples {
		for _, m := range []metric{flatMemory(i), flatCPU(i), flatP50(i), flatP99(i), flatLost(i)} {
			if len(w.values[m]) != 1 {
				t.Errorf("%s: %v", m.what, w.values[m])
			}
		}
		if w.sum(flatLost(i)) != 0 || w.values[flatP50(i)][0] <= 0 {
			t.Errorf("sample %d: %v lost, p50 %v", i+1, w.values[flatLost(i)], w.values[flatP50(i)])
		}
	}
	report := string((&results{plan: p, began: time.Now(), rows: []*row{w}}).flatReport())
	if strings.Count(report, "| after ") != p.samples || !strings.Contains(report, "5 streams") ||
		strings.Contains(report, "NaN") {
		t.Errorf("the report is\n%s", report)
	}
}
