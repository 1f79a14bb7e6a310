package main

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestReportHasATableForEachPlatform(t *testing.T) {
	rows := []*row{{name: "direct"}}
	for _, c := range contenders {
		rows = append(rows, &row{name: c.name, c: &c, built: &build{size: 7_500_000}, start: []float64{3}, cut: "broken"})
	}
	res := &results{plan: quick, began: time.Now(), rows: rows}
	report := string(res.report())
	for _, want := range []string{
		"### Google Cloud Functions\n\n| | relay | functions-framework-go", "### Vercel\n\n| | relay | net/http",
		"listens 3.00 ms", "| 7.50 | 7.50 |", "looks like | broken | broken |", "for Vercel: no library", "To repeat",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("the report does not say %q:\n%s", want, report)
		}
	}
	for _, broken := range []string{"%!", "NaN", "<nil>"} {
		if strings.Contains(report, broken) {
			t.Errorf("the report says %q:\n%s", broken, report)
		}
	}
}

func TestRunRefusesArguments(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"extra"}, &out, &out); err == nil || !strings.Contains(err.Error(), `takes no "extra"`) {
		t.Errorf("run(extra) = %v, want a refusal", err)
	}
}

func TestTurnsRepeatWhatFails(t *testing.T) {
	w := &row{name: "stock"}
	calls := 0
	each := func(*row) error {
		if calls++; calls < 3 {
			return errors.New("broke off")
		}
		return nil
	}
	res := new(results)
	if err := res.turns(t.Context(), 0, []*row{w}, each); err != nil || calls != 3 || len(w.failures) != 2 {
		t.Errorf("turns() = %v after %d calls and %d failures, want nil, 3, 2", err, calls, len(w.failures))
	}
	err := res.turns(t.Context(), 0, []*row{w}, func(*row) error { return io.ErrUnexpectedEOF })
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(w.failures) != maxFailures {
		t.Errorf("turns() of what always fails = %v after %d failures, want an end after %d", err, len(w.failures), maxFailures)
	}
}
