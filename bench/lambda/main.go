// Command lambda measures the relay as a Lambda function next to what a user
// could have instead: a stock httputil.ReverseProxy on lambdaurl, and one on
// api-proxy.
//
//	go run ./bench/lambda [-quick] [-out docs/performance.md]
//
// Each of them is a bootstrap of its own that an emulated Lambda starts; this
// process is Lambda, the clients and the upstream. They take turns, several
// rounds of them, and the report has medians. Without -out it goes to standard
// output.
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
	"example.com/relay/internal/figures"
)

// section is where the report stands in the page.
var section = doc.Section{Name: "lambda", Command: "go run ./bench/lambda -out docs/performance.md"}

// A plan says how much to measure. All of it together must stay within its
// budget: rounds are left out if time runs short, and the report says so.
type plan struct {
	starts  int // of each contender, and of that again with TLS
	memory  int // processes of each contender whose memory is measured
	rounds  int
	chats   int // in a round
	freezes int
	budget  time.Duration
}

var (
	full  = plan{starts: 40, memory: 5, rounds: 6, chats: 500, freezes: 60, budget: 180 * time.Second}
	quick = plan{starts: 30, memory: 1, rounds: 1, chats: 300, freezes: 30, budget: 60 * time.Second}
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "lambda:", err)
		os.Exit(1)
	}
}

// run is main without the process.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	return section.Run(ctx, args, stdout, stderr, "a minute", measure)
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
