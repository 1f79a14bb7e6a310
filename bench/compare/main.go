// Command compare measures the relay next to what a user could have instead: a
// stock httputil.ReverseProxy, and nginx and Caddy where they are installed.
//
//	go run ./bench/compare [-quick] [-out docs/performance.md]
//
// Each of them is a process of its own in front of the same scripted upstream,
// another process; this one is the clients. They take turns, several rounds of
// them, and the report has medians. Without -out it goes to standard output.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"example.com/relay/bench/doc"
)

// section is where the report stands in the page.
var section = doc.Section{Name: "compare", Command: "go run ./bench/compare -out docs/performance.md"}

// A plan says how long to measure. All of it together must stay within its
// budget: rounds are left out if time runs short, and the report says so.
type plan struct {
	rounds                 int
	chatWarm, chat, stream int // milliseconds
	memoryRounds           int
	idleStreams            int
	benchtime              string // of the benchmarks in one process; "" leaves them out
	budget                 time.Duration
}

var (
	full  = plan{rounds: 9, chatWarm: 200, chat: 1600, stream: 1500, memoryRounds: 3, idleStreams: 1000, benchtime: "300ms", budget: 290 * time.Second}
	quick = plan{rounds: 2, chatWarm: 100, chat: 600, stream: 600, memoryRounds: 1, idleStreams: 200, budget: 60 * time.Second}
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// run is main without the process.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == roleUpstream {
		return beUpstream(ctx, stdout)
	}
	if len(args) > 1 && args[0] == roleStock {
		return beStock(ctx, args[1], stdout)
	}
	return section.Run(ctx, args, stdout, stderr, "a minute", compare)
}

// compare measures, for a short time or in full, and returns the report. What it is
// doing it tells on progress.
func compare(ctx context.Context, short bool, progress io.Writer) ([]byte, error) {
	p := full
	if short {
		p = quick
	}
	ctx, cancel := context.WithTimeout(ctx, p.budget)
	defer cancel()
	began := time.Now()
	r, err := newRig(ctx, progress)
	if err != nil {
		return nil, err
	}
	defer r.close()
	res := &results{plan: p, machine: doc.ThisMachine(ctx), began: began}
	if err := res.measure(ctx, r); err != nil {
		return nil, err
	}
	res.took = time.Since(began)
	return res.report(), nil
}
