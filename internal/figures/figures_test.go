package figures

import (
	"math"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestFiguresAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.json")
	run := Machine{commit: "abc"}.NewRun(time.Date(2026, 11, 25, 1, 0, 0, 0, time.UTC),
		[]string{"nginx: not installed"})
	run.Add("relay", "plain HTTP", "CPU", "µs", 1.23456, 2)
	run.Add("relay", "", "nothing", "µs")
	if err := Put(path, "first", run); err != nil {
		t.Fatal(err)
	}
	if err := Put(path, "second", new(Run)); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if values := got.Values("first", "relay", "plain HTTP", "CPU"); !slices.Equal(values, []float64{1.235, 2}) {
		t.Errorf("Values() = %v, want [1.235 2]", values)
	}
	for _, absent := range [][4]string{{"first", "relay", "", "CPU"}, {"first", "relay", "", "nothing"},
		{"second", "relay", "plain HTTP", "CPU"}, {"third", "relay", "", "CPU"}} {
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
	if err := Put(filepath.Join(t.TempDir(), "page.json"), "first", run); err == nil {
		t.Error("Put() of NaN = nil, want an error")
	}
}
