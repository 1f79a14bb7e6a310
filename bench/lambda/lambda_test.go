package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseRSS(t *testing.T) {
	got, err := parseRSS("Name:\tbootstrap\nVmHWM:\t   90000 kB\nVmRSS:\t   12288 kB\nThreads:\t7\n")
	if err != nil || got != 12 {
		t.Errorf("parseRSS() = %v, %v, want 12", got, err)
	}
	if _, err := parseRSS("Name:\tzombie\n"); err == nil {
		t.Error("parseRSS() of a zombie = no error, want one")
	}
}

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

func TestReportHasALineForEveryFigure(t *testing.T) {
	rows := []*row{{name: "direct"}}
	for _, c := range contenders {
		rows = append(rows, &row{name: c.name, c: &c, built: &build{inZip: map[string]int64{"arm64": 2_500_000}}, lost: losses{upload: "whole"}})
	}
	res := &results{plan: quick, began: time.Now(), rows: rows}
	report := string(res.report())
	for _, want := range []string{"| relay | lambdaurl", "`/next`", "| zip for arm64, amd64, MB | 2.50", "arrives | whole |", "### What init costs", "To repeat"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report does not say %q:\n%s", want, report)
		}
	}
	for _, broken := range []string{"%!", "NaN", fmt.Sprint(nil)} {
		if strings.Contains(report, broken) {
			t.Errorf("the report says %q:\n%s", broken, report)
		}
	}
}
