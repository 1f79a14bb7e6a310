package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/figures"
)

const (
	// life is the timeout of a client's connection.
	life = 30 * time.Second

	// maxFailures is how many measurements of a contender may fail.
	maxFailures = 5
)

// A suite is a set of measurements that is reported in the section of its name.
type suite struct {
	full, quick plan
	contenders  []contender
	measure     func(*results, context.Context, *rig) error
	report      func(*results) []byte
}

var suites = map[string]suite{"relay": relaySuite, "lambda": lambdaSuite, "servers": serversSuite,
	"streams": streamsSuite, "flat": flatSuite}

// A plan says how much to measure. Rounds are left out if the budget would be
// exceeded, and the report says so.
type plan struct {
	budget time.Duration
	rounds int
	memory int // processes of each contender whose memory is measured

	// Of the suite relay.
	chatWarm, chat, steady, stream time.Duration
	body                           time.Duration
	bodyRounds                     int    // of the rounds, those with larger bodies
	idleStreams                    int    // and then twice as many
	benchtime                      string // of the benchmarks in one process; "" leaves them out

	// Of the suite streams.
	streams         []int         // numbers of them, growing
	settle, receive time.Duration // before events are counted, and while they are

	// Of the suite flat.
	samples int
	between time.Duration // from one to the next

	// Of the suites lambda and servers.
	starts  int           // of each contender
	chats   int           // in a round
	paced   upstream.Call // a stream in a round
	events  int           // in it
	freezes int
}

// results are everything that was measured.
type results struct {
	plan    plan
	machine figures.Machine
	began   time.Time
	took    time.Duration

	rounds  int // that were completed
	rows    []*row
	missing []string   // contenders that did not take part, and why
	inside  benchmarks // in one process
}

// run measures, and writes the report and the figures. It logs its steps to
// progress.
func (s suite) run(ctx context.Context, opts options, stdout, progress io.Writer) error {
	res := &results{plan: s.full, began: time.Now(), machine: figures.ThisMachine(ctx)}
	if opts.quick {
		res.plan = s.quick
	}
	ctx, cancel := context.WithTimeout(ctx, res.plan.budget)
	defer cancel()
	r, err := newRig(ctx, progress)
	if err != nil {
		return err
	}
	defer r.close()
	for _, c := range s.contenders {
		w := &row{contender: c}
		if c.program.Package != "" {
			if w.built, err = r.build(ctx, c.program, c.on == onLambda); err != nil {
				return err
			}
		}
		res.rows = append(res.rows, w)
	}
	if err := s.measure(res, ctx, r); err != nil {
		return err
	}
	res.took = time.Since(res.began)
	measured := res.machine.NewRun(res.began, res.missing)
	for _, w := range res.rows {
		w.figures(measured)
	}
	return opts.publish(s.report(res), measured, stdout)
}

// round calls each for all rows, beginning with row i, so that a disturbance of the
// machine does not always hit the same. A stock ReverseProxy truncates a response
// now and then: a failure is counted, and the row is measured again.
func (res *results) round(ctx context.Context, i int, rows []*row, each func(*row) error) error {
	for j := range rows {
		w := rows[(i+j)%len(rows)]
		for err := w.measure(each); err != nil; err = w.measure(each) {
			if ctx.Err() != nil || len(w.failures) == maxFailures {
				return fmt.Errorf("%s, %s: %w", w.name, w.on, err)
			}
			w.failures = append(w.failures, err)
		}
	}
	return nil
}

// allRounds measures all rows in each round of the plan, until the time is up.
func (res *results) allRounds(ctx context.Context, r *rig, each func(*row) error) error {
	var longest time.Duration
	for res.rounds < res.plan.rounds && !res.shortOfTime(ctx, longest) {
		r.say("round %d of %d", res.rounds+1, res.plan.rounds)
		began := time.Now()
		if err := res.round(ctx, res.rounds, res.rows, each); err != nil {
			return err
		}
		res.rounds++
		longest = max(longest, time.Since(began))
	}
	return nil
}

// shortOfTime reports whether a round that takes as long as the longest so far would
// exceed the deadline. The first round always begins.
func (res *results) shortOfTime(ctx context.Context, longest time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ok && res.rounds > 0 && time.Until(deadline) < longest+longest/10+time.Second
}

// at returns the rows with a kind of upstream, or on a platform.
func (res *results) at(on string) []*row {
	return slices.DeleteFunc(slices.Clone(res.rows), func(w *row) bool { return w.on != on })
}

// row returns the row of a contender, or nil if it did not take part. For one
// without HTTP/2 to upstreams it returns that of HTTP/1.1 over TLS instead.
func (res *results) row(name, on string) *row {
	for _, w := range res.rows {
		if w.name == name && w.on == on {
			return w
		}
	}
	if on == https2 {
		return res.row(name, https1)
	}
	return nil
}

// leaveOut notes that a contender is not installed. It returns any other error.
func (res *results) leaveOut(w *row, err error) error {
	if !errors.Is(err, errNotInstalled) {
		return fmt.Errorf("%s, %s: %w", w.name, w.on, err)
	}
	if reason := w.name + ": " + err.Error(); !slices.Contains(res.missing, reason) {
		res.missing = append(res.missing, reason)
	}
	return nil
}
