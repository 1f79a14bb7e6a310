package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"example.com/relay/internal/figures"
)

// measuredBut returns figures of all contenders but those that are left out.
func measuredBut(without ...string) figures.File {
	run := new(figures.Run)
	for i, name := range append([]string{direct}, names()...) {
		if len(without) > 0 && name == without[0] {
			continue
		}
		v := float64(100 * (i + 1))
		for _, on := range []string{"plain HTTP", "TLS, HTTP/1.1", "TLS, HTTP/2"} {
			for _, what := range []string{"CPU/request", "p50 at a fixed rate", "first event", "event p50",
				"idle stream of 1,000", "idle stream of 2,000"} {
				run.Add(name, on, what, "", v, v*1.1, v*1.3)
			}
		}
	}
	return figures.File{"relay": run}
}

func names() (all []string) {
	for _, c := range shown {
		all = append(all, c.name)
	}
	return all
}

func drawn(t *testing.T, f figures.File) []byte {
	t.Helper()
	dir := t.TempDir()
	path, plot := filepath.Join(dir, "f.json"), filepath.Join(dir, "f.svg")
	if err := f.Write(path); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"-performance", path, "-plot", plot}, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(plot)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPlot(t *testing.T) {
	first, second := drawn(t, measuredBut()), drawn(t, measuredBut())
	if !bytes.Equal(first, second) {
		t.Error("two plots of the same figures differ")
	}
	if len(first) > 60<<10 {
		t.Errorf("the plot has %d bytes, want 60 KiB at most", len(first))
	}
	for _, c := range shown {
		if !bytes.Contains(first, []byte(">"+c.label+"<")) {
			t.Errorf("%s is not in the plot", c.label)
		}
	}
	if without := drawn(t, measuredBut("Caddy")); bytes.Contains(without, []byte(">Caddy<")) ||
		!bytes.Contains(without, []byte(">nginx<")) {
		t.Error("a contender that was not measured is in the plot, or others are not")
	}
}

func TestNothingIsNotDrawn(t *testing.T) {
	plot := filepath.Join(t.TempDir(), "f.svg")
	if err := drawPerformance(figures.File{}, plot); !errors.Is(err, errNothing) {
		t.Errorf("drawPerformance() = %v, want %v", err, errNothing)
	}
	if _, err := os.Stat(plot); err == nil {
		t.Error("a plot of nothing was written")
	}
}
