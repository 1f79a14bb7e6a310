package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/load"
	"example.com/relay/internal/proc"
	"example.com/relay/internal/regions"
)

// A plan says when things happen in a run.
type plan struct {
	rate   int           // requests per second, half of them for streams
	killAt time.Duration // when a region breaks
	outage time.Duration // how long it stays so, unless the experiment knows better
	runFor time.Duration // when the load ends
	useFor time.Duration // how long it goes on after the restoration if the region is not used again
}

var full = plan{rate: 200, killAt: 3 * time.Second, outage: 2 * time.Second, runFor: 8 * time.Second,
	useFor: 6 * time.Second}

// What the upstream is asked for: streams that begin at once and take 40 ms, and
// responses in one piece that take 20 ms, so that there are requests of both kinds
// under way whenever a region breaks.
const (
	think    = 20 * time.Millisecond
	streamed = "events=6 gap=5ms"
	whole    = "delay=20ms"
)

// A starter starts a gateway before a fleet, and returns its base URL and what
// ends it.
type starter func(ctx context.Context, fleet *regions.Fleet) (base string, stop func(), err error)

// A scene is what one run takes place in.
type scene struct {
	plan
	fleet *regions.Fleet
	base  string // of the gateway
	began time.Time

	mu               sync.Mutex
	victim           *regions.Region // the one that was in use when it was broken
	killed, restored time.Duration   // since began; 0 if it was not
}

// stage runs an experiment once.
func (e *experiment) stage(ctx context.Context, on wire, relay string, p plan, start starter) (*tally, error) {
	fleet, err := regions.Start(ctx, regions.Options{Relay: relay, TLS: on.tls, HTTP1: on.http1})
	if err != nil {
		return nil, err
	}
	defer fleet.Close()
	base, stop, err := start(ctx, fleet)
	if err != nil {
		return nil, err
	}
	stop = sync.OnceFunc(stop)
	defer stop()
	if e.outage != 0 {
		p.outage = e.outage
	}
	s := &scene{plan: p, fleet: fleet, base: base}
	responses, err := s.play(ctx, e)
	if err != nil {
		return nil, err
	}
	stop() // what it is still sending would be counted too early
	return s.tally(responses), nil
}

// play puts the load on, and has the experiment happen meanwhile.
func (s *scene) play(ctx context.Context, e *experiment) ([]load.Response, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.began = time.Now()
	failed := make(chan error, 1)
	acted := make(chan struct{})
	go func() {
		defer close(acted)
		if err := s.act(ctx, e); err != nil {
			failed <- err
			cancel()
		}
	}()
	responses := load.Open{
		Base: s.base, Rate: s.rate, For: s.runFor, Reply: fakeopenai.Reply, Streamed: streamed, Whole: whole,
		More: func() bool {
			return e.restore != nil && time.Since(s.began) < s.killAt+s.outage+s.useFor && !s.usedAgain()
		},
	}.Run(ctx, s.began)
	<-acted
	select {
	case err := <-failed:
		return nil, err
	default:
		return responses, ctx.Err()
	}
}

// act breaks and mends.
func (s *scene) act(ctx context.Context, e *experiment) error {
	if e.fail == nil {
		return nil
	}
	if err := pause(ctx, s.killAt-time.Since(s.began)); err != nil {
		return err
	}
	victim := busiest(s.fleet.Regions, time.Now().Add(-lately))
	if victim == nil {
		return errors.New("no region is in use: nothing can be shown by breaking one")
	}
	s.mu.Lock()
	s.victim, s.killed = victim, time.Since(s.began)
	s.mu.Unlock()
	if err := e.fail(ctx, s); err != nil || e.restore == nil {
		return err
	}
	if err := pause(ctx, s.killAt+s.outage-time.Since(s.began)); err != nil {
		return err
	}
	s.mu.Lock()
	s.restored = time.Since(s.began)
	s.mu.Unlock()
	return e.restore(ctx, s)
}

// lately is how far back a region counts as in use.
const lately = 500 * time.Millisecond

// busiest returns the region that has had the most requests since then, or nil
// if none had any.
func busiest(all []*regions.Region, then time.Time) (busiest *regions.Region) {
	most := 0
	for _, r := range all {
		n := 0
		for _, served := range slices.Backward(r.Front.Served()) {
			if served.At.Before(then) {
				break
			}
			n++
		}
		if n > most {
			busiest, most = r, n
		}
	}
	return busiest
}

// usedAgain reports whether the region that came back has had a request since
// which was due since. What a black hole held back until it was gone was not.
func (s *scene) usedAgain() bool {
	s.mu.Lock()
	victim, restored := s.victim, s.restored
	s.mu.Unlock()
	return restored != 0 && slices.ContainsFunc(victim.Front.Served(), func(served regions.Served) bool {
		due, ok := load.Due(served.ID, s.rate)
		return ok && due >= restored
	})
}

// ofRelay returns a starter of the relay itself, whose log goes to log.
func ofRelay(log io.Writer, settings ...string) starter {
	return func(ctx context.Context, fleet *regions.Fleet) (string, func(), error) {
		g, err := fleet.StartGateway(ctx, proc.Options{Env: settings, Log: log})
		if err != nil {
			return "", nil, err
		}
		return g.Base, g.Stop, nil
	}
}
