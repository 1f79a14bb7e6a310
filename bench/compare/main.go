// Command compare measures the relay next to what a user could have instead: a
// stock httputil.ReverseProxy; nginx, haproxy and Caddy where they are installed;
// and a worker on workerd where npm is.
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
	"example.com/relay/bench/upstream"
	"example.com/relay/internal/figures"
)

// section is where the report stands in the page.
var section = doc.Section{Name: "relay", Command: "go run ./bench/compare -out docs/performance.md"}

// A plan says how long to measure. All of it together must stay within its
// budget: rounds are left out if time runs short, and the report says so.
type plan struct {
	rounds                         int
	bodyRounds                     int // of them, those with larger bodies
	chatWarm, chat, steady, stream int // milliseconds
	body                           int // the same
	memoryRounds                   int
	idleStreams                    int    // and then twice as many
	benchtime                      string // of the benchmarks in one process; "" leaves them out
	budget                         time.Duration
}

var (
	full = plan{rounds: 6, bodyRounds: 3, chatWarm: 150, chat: 900, steady: 1500, stream: 1000, body: 400,
		memoryRounds: 3, idleStreams: 1000, benchtime: "300ms", budget: 520 * time.Second}
	quick = plan{rounds: 1, bodyRounds: 1, chatWarm: 100, chat: 300, steady: 300, stream: 600, body: 100,
		memoryRounds: 1, idleStreams: 1000, budget: 70 * time.Second}
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
	if len(args) > 1 && args[0] == roleUpstream {
		return upstream.Serve(ctx, args[1], stdout)
	}
	if len(args) > 1 && args[0] == roleStock {
		return beStock(ctx, args[1], stdout)
	}
	if len(args) > 1 && args[0] == roleFloor {
		return beFloor(ctx, args[1], stdout)
	}
	return section.Run(ctx, args, stdout, stderr, "70 seconds", compare)
}

// compare measures, for a short time or in full, and returns the report and its figures.
// What it is doing it tells on progress.
func compare(ctx context.Context, short bool, progress io.Writer) ([]byte, *figures.Run, error) {
	p := full
	if short {
		p = quick
	}
	ctx, cancel := context.WithTimeout(ctx, p.budget)
	defer cancel()
	began := time.Now()
	r, err := newRig(ctx, progress)
	if err != nil {
		return nil, nil, err
	}
	defer r.close()
	res := &results{plan: p, machine: figures.ThisMachine(ctx), began: began}
	if built, err := os.Stat(r.relay); err == nil {
		res.relaySize = built.Size()
	}
	if err := res.measure(ctx, r); err != nil {
		return nil, nil, err
	}
	res.took = time.Since(began)
	return res.report(), res.figures(), nil
}
