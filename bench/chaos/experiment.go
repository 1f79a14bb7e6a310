package main

import (
	"context"
	"time"

	"example.com/relay/internal/regions"
)

// An experiment is a way for regions to fail under load.
type experiment struct {
	name    string
	fail    func(ctx context.Context, s *scene) error // at killAt
	restore func(ctx context.Context, s *scene) error // at restoreAt; nil if nothing is to be restored

	outage time.Duration // from the failure to the restoration; if zero, the plan's
	all    bool          // every region fails, so requests must fail
	wires  []wire
}

// A wire is the protocol between the gateway and the regions.
type wire struct {
	name  string
	tls   bool
	http1 bool
}

var (
	plain  = wire{name: "http"}
	https1 = wire{name: "https, HTTP/1.1", tls: true, http1: true}
	https2 = wire{name: "https, HTTP/2", tls: true}
)

// late is how long a slow region takes to connect.
const late = time.Second

// allOutage is longer than a gateway may take to say that every region is down.
const allOutage = 5 * time.Second

// none is the experiment without a fault, with which others are compared.
const none = "none"

var experiments = []experiment{
	{name: none, wires: []wire{https2, https1, plain}},
	{name: "refused", fail: inUse(regions.Refused), restore: restoreInUse, wires: []wire{https2, https1, plain}},
	{name: "reset", fail: inUse(regions.Reset), restore: restoreInUse, wires: []wire{https2}},
	{name: "platform's 503", fail: inUse(regions.Serving(regions.GCFUnavailable)), restore: restoreInUse,
		wires: []wire{https2}},
	{name: "black hole", fail: inUse(regions.BlackHole), restore: restoreInUse, wires: []wire{https2, https1, plain}},
	{name: "black hole that stays", fail: inUse(regions.BlackHole), wires: []wire{https2, https1, plain}},
	{name: "hung machine", fail: inUse(regions.Silent), restore: restoreInUse, wires: []wire{https2}},
	{name: "slow to connect", fail: inUse(regions.SlowConnect(late)), restore: restoreInUse, wires: []wire{https2}},
	{name: "rolling restart, SIGTERM", fail: rolling((*regions.Region).Stop), wires: []wire{https2}},
	{name: "rolling restart, SIGKILL", fail: rolling((*regions.Region).Kill), wires: []wire{https2}},
	{name: "all refused", fail: all(regions.Refused), restore: restoreAll, all: true, outage: allOutage,
		wires: []wire{https2}},
	{name: "all black holes", fail: all(regions.BlackHole), restore: restoreAll, all: true, outage: allOutage,
		wires: []wire{https2}},
}

// inUse breaks the region that the gateway is using.
func inUse(fault regions.Fault) func(context.Context, *scene) error {
	return func(_ context.Context, s *scene) error { return s.victim.Front.Set(fault) }
}

func restoreInUse(_ context.Context, s *scene) error { return s.victim.Front.Set(regions.None) }

// all breaks every region.
func all(fault regions.Fault) func(context.Context, *scene) error {
	return func(_ context.Context, s *scene) error {
		for _, r := range s.fleet.Regions {
			if err := r.Front.Set(fault); err != nil {
				return err
			}
		}
		return nil
	}
}

func restoreAll(ctx context.Context, s *scene) error { return all(regions.None)(ctx, s) }

// The downtime of a process in a rolling restart, and the time until the next.
const (
	away    = 200 * time.Millisecond
	between = 300 * time.Millisecond
)

// rolling restarts every region in turn, the one in use first.
func rolling(end func(*regions.Region) error) func(context.Context, *scene) error {
	return func(ctx context.Context, s *scene) error {
		turns := []*regions.Region{s.victim}
		for _, r := range s.fleet.Regions {
			if r != s.victim {
				turns = append(turns, r)
			}
		}
		for _, r := range turns {
			if err := end(r); err != nil {
				return err
			}
			if err := pause(ctx, away); err != nil {
				return err
			}
			if err := r.Start(ctx); err != nil {
				return err
			}
			if err := pause(ctx, between); err != nil {
				return err
			}
		}
		return nil
	}
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
