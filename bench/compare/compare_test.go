package main

import (
	"strings"
	"testing"
	"time"

	"example.com/relay/bench/doc"
)

func TestSeriesAreComparedRoundByRound(t *testing.T) {
	relay, nginx := series{{cpu: 30}, {cpu: 300}}, series{{cpu: 10}, {cpu: 100}, {cpu: 1}}
	if got := relay.compared(cpu, nginx); len(got) != 2 || doc.Median(got) != 3 {
		t.Errorf("compared() = %v, want [3 3]", got)
	}
	if got := relay.over(cpu, nginx); len(got) != 2 || got[0] != 20 || got[1] != 200 {
		t.Errorf("over() = %v, want [20 200]", got)
	}
}

func TestParseBenchmarks(t *testing.T) {
	got := parseBenchmarks([]byte("goos: linux\nBenchmarkChat/relay-2   \t 3603\t 90627 ns/op\t 6.62 MB/s\t 17618 B/op\t 170 allocs/op\n" +
		"BenchmarkIdleStream-2 1 28 ns/op 74653 B/stream\nPASS\n"))
	if len(got) != 2 || got.value("Chat", "relay", "allocs/op") != 170 || got.value("IdleStream", "", "B/stream") != 74653 {
		t.Errorf("parseBenchmarks() = %v", got)
	}
	if got := got.ratio("Chat", "relay", "direct", "ns/op"); got != "–" {
		t.Errorf("ratio to what is missing = %q, want –", got)
	}
}

func TestReportSaysWhatIsMissing(t *testing.T) {
	rows := []*row{{name: nameDirect, c: &running{}}, {name: nameRelay, c: &running{}}, {name: nameStock, c: &running{}}}
	res := &results{plan: quick, began: time.Now(), rows: rows, missing: []string{"nginx", "Caddy"}}
	report := string(res.report())
	for _, want := range []string{"nginx: not installed", "Caddy: not installed", "## Event streams", "To repeat"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	if strings.Contains(report, "× nginx") || strings.Contains(report, "NaN") {
		t.Errorf("the report compares with what is missing:\n%s", report)
	}
}
