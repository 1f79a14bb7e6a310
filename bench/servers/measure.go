package main

import (
	"context"
	"fmt"
	"time"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/figures"
	"example.com/relay/internal/load"
)

const (
	// life is how long anything on one connection may take.
	life = 30 * time.Second

	// warmChats are as many as make a server warm.
	warmChats = 100

	// settleTime is what a process may still have to do after it listens.
	settleTime = 20 * time.Millisecond

	// maxFailures is how many measurements of a contender may fail.
	maxFailures = 5
)

// results are everything that was measured.
type results struct {
	plan    plan
	machine figures.Machine
	began   time.Time
	took    time.Duration

	rounds int // that were completed
	rows   []*row
}

// A row is what was measured of a contender.
type row struct {
	name  string
	c     *contender // nil for direct
	built *build

	start, first     []float64 // ms
	chatP50, chatP99 []float64 // µs
	lagP50, lagP99   []float64 // µs
	events, together int       // of these, how many came together with the one before
	idle, warm       []float64 // MiB
	failures         []error   // of measurements that were repeated
	cut              string    // what a stream that the upstream breaks off looks like
}

// servers returns the rows of all contenders but direct.
func (res *results) servers() []*row { return res.rows[1:] }

// measure runs everything in the plan, as long as ctx lets it.
func (res *results) measure(ctx context.Context, r *rig) error {
	steps := []struct {
		name  string
		times int
		each  func(*row, context.Context, *rig) error
	}{
		{"broken streams", 1, (*row).measureCut},
		{"starts", res.plan.starts, (*row).measureStart},
		{"memory", res.plan.memory, (*row).measureMemory},
	}
	for _, step := range steps {
		r.say("%s", step.name)
		for i := range step.times {
			if err := res.turns(ctx, i, res.servers(), func(w *row) error { return step.each(w, ctx, r) }); err != nil {
				return fmt.Errorf("%s: %w", step.name, err)
			}
		}
	}
	return res.measureRounds(ctx, r)
}

// turns calls each for all rows, another one first for every i. As a stock
// ReverseProxy breaks an answer off now and then, what fails is counted and
// measured again; so each must record all or nothing.
func (res *results) turns(ctx context.Context, i int, rows []*row, each func(*row) error) error {
	return load.Turns(i, rows, func(w *row) error {
		for {
			err := each(w)
			if err == nil {
				return nil
			}
			if ctx.Err() != nil || len(w.failures) == maxFailures {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			w.failures = append(w.failures, err)
		}
	})
}

// measureRounds measures warm servers, as long as time suffices.
func (res *results) measureRounds(ctx context.Context, r *rig) error {
	longest := time.Duration(0)
	deadline, _ := ctx.Deadline()
	for ; res.rounds < res.plan.rounds; res.rounds++ {
		if res.rounds > 0 && time.Until(deadline) < longest*5/4 {
			return nil
		}
		began := time.Now()
		r.say("round %d of %d", res.rounds+1, res.plan.rounds)
		if err := res.turns(ctx, res.rounds, res.rows, func(w *row) error { return w.measureWarm(ctx, r, res.plan) }); err != nil {
			return err
		}
		longest = max(longest, time.Since(began))
	}
	return nil
}

// measureCut looks at a stream that the upstream breaks off.
func (w *row) measureCut(ctx context.Context, r *rig) error {
	s, err := w.serve(ctx, r.url())
	if err != nil {
		return err
	}
	defer s.Kill()
	call := upstream.Cut
	w.cut = load.Ending(load.Post(ctx, s.addr, call.Target, call.Type, make([]byte, call.Body), life))
	return nil
}

// measureStart starts a new process and asks it once.
func (w *row) measureStart(ctx context.Context, r *rig) error {
	s, err := w.serve(ctx, r.url())
	if err != nil {
		return err
	}
	defer s.Kill()
	client := load.NewClient(s.addr, life)
	defer client.Close()
	request := upstream.Chat.Request(s.addr)
	began := time.Now()
	if err := client.Do(request); err != nil {
		return err
	}
	w.first = append(w.first, figures.Millis(time.Since(began)))
	w.start = append(w.start, figures.Millis(s.start))
	return nil
}

// measureMemory takes what a new process is resident with, and again when warm.
func (w *row) measureMemory(ctx context.Context, r *rig) error {
	s, err := w.serve(ctx, r.url())
	if err != nil {
		return err
	}
	defer s.Kill()
	time.Sleep(settleTime)
	idle, err := s.Usage()
	if err != nil {
		return err
	}
	if _, err := chat(ctx, s.addr, warmChats); err != nil {
		return err
	}
	warm, err := s.Usage()
	if err != nil {
		return err
	}
	w.idle = append(w.idle, float64(idle.RSS)/(1<<20))
	w.warm = append(w.warm, float64(warm.RSS)/(1<<20))
	return nil
}

// measureWarm measures chats and one stream through a server that is warm.
func (w *row) measureWarm(ctx context.Context, r *rig, p plan) error {
	addr := r.upstream.Addr()
	if w.c != nil {
		s, err := w.serve(ctx, r.url())
		if err != nil {
			return err
		}
		defer s.Kill()
		addr = s.addr
	}
	if _, err := chat(ctx, addr, warmChats); err != nil {
		return err
	}
	latency, err := chat(ctx, addr, p.chats)
	if err != nil {
		return err
	}
	lag, together, err := load.Stream(ctx, addr, p.stream.Request(addr), p.events, life)
	if err != nil {
		return err
	}
	w.chatP50 = append(w.chatP50, figures.Micros(latency.Quantile(0.5)))
	w.chatP99 = append(w.chatP99, figures.Micros(latency.Quantile(0.99)))
	w.lagP50 = append(w.lagP50, figures.Micros(lag.Quantile(0.5)))
	w.lagP99 = append(w.lagP99, figures.Micros(lag.Quantile(0.99)))
	w.events += lag.Count()
	w.together += together
	return nil
}

// chat asks n times, one after the other.
func chat(ctx context.Context, addr string, n int) (*load.Histogram, error) {
	return load.Serial(ctx, addr, upstream.Chat.Request(addr), n, life)
}
