// Command servers measures the relay as the servers that Google Cloud Functions
// and Vercel start, next to what a user could have instead: a stock
// httputil.ReverseProxy in the functions framework, and one on net/http.
//
//	go run ./bench/servers [-quick] [-out docs/performance.md]
//
// Each of them is a process of its own on this machine; this process is the
// clients and the upstream. They take turns, several rounds of them, and the
// report has medians. Without -out it goes to standard output.
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
var section = doc.Section{Name: "servers", Command: "go run ./bench/servers -out docs/performance.md"}

// A plan says how much to measure. All of it together must stay within its
// budget: rounds are left out if time runs short, and the report says so.
type plan struct {
	starts int // of each contender
	memory int // processes of each contender whose memory is measured
	rounds int
	chats  int           // in a round
	stream upstream.Call // one in a round
	events int           // in it
	budget time.Duration
}

var (
	full  = plan{starts: 40, memory: 5, rounds: 4, chats: 500, stream: upstream.Slow, events: upstream.EventCount, budget: 115 * time.Second}
	quick = plan{starts: 20, memory: 1, rounds: 1, chats: 300, stream: upstream.Brief, events: upstream.BriefCount, budget: 30 * time.Second}
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "servers:", err)
		os.Exit(1)
	}
}

// run is main without the process.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	return section.Run(ctx, args, stdout, stderr, "half a minute", measure)
}

// measure measures, for a short time or in full, and returns the report and its figures.
// What it is doing it tells on progress.
func measure(ctx context.Context, short bool, progress io.Writer) ([]byte, *figures.Run, error) {
	p := full
	if short {
		p = quick
	}
	ctx, cancel := context.WithTimeout(ctx, p.budget)
	defer cancel()
	began, machine := time.Now(), figures.ThisMachine(ctx)
	r, err := newRig(ctx, progress)
	if err != nil {
		return nil, nil, err
	}
	defer r.close()
	res := &results{plan: p, machine: machine, began: began, rows: r.rows()}
	if err := res.measure(ctx, r); err != nil {
		return nil, nil, err
	}
	res.took = time.Since(began)
	return res.report(), res.figures(), nil
}
