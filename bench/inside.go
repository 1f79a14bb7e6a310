package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math"
	"os/exec"
	"strconv"
	"strings"

	"example.com/relay/internal/figures"
)

// A benchmark is a line that go test -bench printed.
type benchmark struct {
	name, way string             // such as Chat and relay
	figures   map[string]float64 // by unit
}

// benchmarks are all lines.
type benchmarks []benchmark

// runBenchmarks runs those of package bench, which measure in one process.
func runBenchmarks(ctx context.Context, benchtime string) (benchmarks, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", ".", "-benchtime", benchtime,
		"example.com/relay/bench")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test -bench: %w\n%s", err, out)
	}
	return parseBenchmarks(out), nil
}

// parseBenchmarks returns what the output of go test -bench says.
func parseBenchmarks(out []byte) benchmarks {
	var all benchmarks
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(fields[0], "Benchmark"), "-")
		b := benchmark{figures: make(map[string]float64)}
		b.name, b.way, _ = strings.Cut(name, "/")
		for i := 2; i+1 < len(fields); i += 2 {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
				b.figures[fields[i+1]] = v
			}
		}
		all = append(all, b)
	}
	return all
}

// value returns a figure of a benchmark, or NaN if it was not measured.
func (all benchmarks) value(name, way, unit string) float64 {
	for _, b := range all {
		if v, ok := b.figures[unit]; ok && b.name == name && b.way == way {
			return v
		}
	}
	return math.NaN()
}

// figure writes a figure of a benchmark in another unit, which is so many of
// its own.
func (all benchmarks) figure(name, way, unit string, by float64) string {
	return figures.Format(all.value(name, way, unit) / by)
}

// ratio writes how many times that of base a figure is.
func (all benchmarks) ratio(name, way, base, unit string) string {
	return figures.Format(all.value(name, way, unit) / all.value(name, base, unit))
}
