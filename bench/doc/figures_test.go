package doc

import (
	"context"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFiguresAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.json")
	run := Machine{commit: "abc"}.NewRun(time.Date(2026, 11, 25, 1, 0, 0, 0, time.UTC), []string{"nginx: not installed"})
	run.Add("relay", "plain HTTP", "CPU", "µs", 1.23456, 2)
	run.Add("relay", "", "nothing", "µs")
	if err := first.putFigures(path, run); err != nil {
		t.Fatal(err)
	}
	if err := second.putFigures(path, new(Run)); err != nil {
		t.Fatal(err)
	}
	got, err := ReadFigures(path)
	if err != nil {
		t.Fatal(err)
	}
	if values := got.Values("first", "relay", "plain HTTP", "CPU"); !slices.Equal(values, []float64{1.235, 2}) {
		t.Errorf("Values() = %v, want [1.235 2]", values)
	}
	for _, absent := range [][4]string{{"first", "relay", "", "CPU"}, {"first", "relay", "", "nothing"}, {"second", "relay", "plain HTTP", "CPU"}, {"third", "relay", "", "CPU"}} {
		if values := got.Values(absent[0], absent[1], absent[2], absent[3]); values != nil {
			t.Errorf("Values(%q) = %v, want none", absent, values)
		}
	}
	if r := got["first"]; r.Date != "2026-11-25" || r.Commit != "abc" || len(r.Missing) != 1 || len(r.Figures) != 1 {
		t.Errorf("the run is %+v", r)
	}
}

func TestFiguresThatAreNoNumbersAreNotKept(t *testing.T) {
	run := new(Run)
	run.Add("relay", "", "ratio", "", math.NaN())
	if err := first.putFigures(filepath.Join(t.TempDir(), "page.json"), run); err == nil {
		t.Error("putFigures() of NaN = nil, want an error")
	}
}

func TestRunWritesPageAndFigures(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	measure := func(_ context.Context, quick bool, _ io.Writer) ([]byte, *Run, error) {
		run := new(Run)
		run.Add("relay", "", "it", "ms", 1)
		return []byte("text"), run, nil
	}
	if err := first.Run(t.Context(), []string{"-out", page}, io.Discard, io.Discard, "", measure); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(page)
	if err != nil || !strings.Contains(string(b), "text") {
		t.Errorf("the page is %q, %v", b, err)
	}
	figures, err := ReadFigures(FiguresFile(page))
	if err != nil || len(figures.Values("first", "relay", "", "it")) != 1 {
		t.Errorf("the figures are %v, %v", figures, err)
	}
}
