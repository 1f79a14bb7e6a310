package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseInits(t *testing.T) {
	got := parseInits([]byte("init errors @0.008 ms, 0.004 ms clock, 0 bytes, 0 allocs\n" +
		"relay: a line of the log\ninit net/http @1.2 ms, 0.25 ms clock, 4096 bytes, 30 allocs\n"))
	want := []packageInit{{"errors", 0.004, 0}, {"net/http", 0.25, 4096}}
	if !slices.Equal(got, want) {
		t.Errorf("parseInits() = %v, want %v", got, want)
	}
}

func TestMediansAreOrderedByTime(t *testing.T) {
	traces := []*initTrace{
		{packages: []packageInit{{"a", 1, 10}, {"b", 5, 0}}},
		{packages: []packageInit{{"a", 3, 10}, {"b", 7, 0}}},
	}
	want := []packageInit{{"b", 6, 0}, {"a", 2, 10}}
	if got := medians(traces); !slices.Equal(got, want) {
		t.Errorf("medians() = %v, want %v", got, want)
	}
}

// unmeasured returns results of a suite, with a start of 3 ms and nothing else.
func unmeasured(s suite) *results {
	res := &results{plan: s.quick, began: time.Now()}
	for _, c := range s.contenders {
		w := &row{contender: c, values: map[metric][]float64{start: {3}}, words: words{upload: "whole", cut: "broken"}}
		w.built = &built{size: map[string]int64{"amd64": 7_500_000},
			zip: map[string]int64{"arm64": 2_500_000, "amd64": 2_700_000}}
		res.rows = append(res.rows, w)
	}
	return res
}

func TestReportsHaveALineForEveryFigure(t *testing.T) {
	for _, test := range []struct {
		report string
		wants  []string
	}{
		{string(unmeasured(lambdaSuite).lambdaReport()), []string{
			"| relay | lambdaurl", "`/next`", "| zip for arm64, amd64, MB | 2.50, 2.70 |", "arrives | whole |",
			"### What init costs", "To repeat"}},
		{string(unmeasured(serversSuite).serversReport()), []string{
			"### Google Cloud Functions\n\n| | relay | functions-framework-go", "### Vercel\n\n| | relay | net/http",
			"listens 3.00 ms", "| 7.50 | 7.50 |", "looks like | broken | broken |", "for Vercel: no library",
			"To repeat"}},
	} {
		for _, want := range test.wants {
			if !strings.Contains(test.report, want) {
				t.Errorf("the report does not say %q:\n%s", want, test.report)
			}
		}
		for _, broken := range []string{"%!", "NaN", "<nil>"} {
			if strings.Contains(test.report, broken) {
				t.Errorf("the report says %q:\n%s", broken, test.report)
			}
		}
	}
}
