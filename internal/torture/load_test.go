package torture_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/relay/internal/load"
	"example.com/relay/internal/regions"
	"example.com/relay/internal/torture"
)

// Streams that take a while, so that some are under way at any time, and responses
// in one piece that are delayed.
const (
	streamed = "events=6 gap=10ms"
	whole    = "delay=20ms"
)

// lengthNote begins the note of a row that has a short form.
func lengthNote() string { return torture.Pick("short form; ", "") }

// C01: the region in use is killed.
func killPrimary(t *testing.T, note func(string)) {
	var notes []string
	defer func() { note(lengthNote() + strings.Join(notes, "; ")) }()
	for _, resend := range []bool{false, true} {
		t.Run(fmt.Sprintf("resend %v", resend), func(t *testing.T) {
			r := startRig(t, fmt.Sprintf("RELAY_RESEND_AMBIGUOUS=%v", resend))
			killed := time.Second
			f := r.load(t, load.Open{Rate: torture.Pick(100, 200), For: torture.Pick[time.Duration](2, 8) * time.Second,
				Streamed: streamed, Whole: whole}, func(c clock) {
				c.until(killed)
				r.kill(t, 0)
			})
			if resend {
				f.wantAmbiguous(t, 0)
			} else {
				r.wantNoDouble(t, f)
			}
			if f.outcomes[load.Cut] == 0 {
				t.Errorf("no stream was under way when the region was killed: %v", f)
			}
			for _, a := range f.responses {
				// A request under way may have been sent; a later one must succeed.
				if a.Outcome != load.Complete && (a.Due > killed+500*time.Millisecond || a.Due+a.End < killed) {
					t.Errorf("%s, due at %v: %v, %v", a.ID, a.Due, a.Outcome, a.Err)
				}
				if a.Due > killed+500*time.Millisecond && a.Upstream != "region-2" {
					t.Errorf("%s, due at %v: by %s", a.ID, a.Due, a.Upstream)
				}
			}
			if s := r.states(t)[0]; s.State != "down" {
				t.Errorf("health says %+v", s)
			}
			notes = append(notes, fmt.Sprintf("resend %v: %v", resend, f))
		})
	}
}

// C02: packets to the region in use get lost, on existing connections and new ones.
func blackHole(t *testing.T, note func(string)) {
	var notes []string
	defer func() { note(lengthNote() + strings.Join(notes, "; ")) }()
	for _, resend := range []bool{false, true} {
		t.Run(fmt.Sprintf("resend %v", resend), func(t *testing.T) {
			r := startRigOver(t, regions.Options{TLS: true}, "RELAY_UPSTREAM_HTTP=2",
				fmt.Sprintf("RELAY_RESEND_AMBIGUOUS=%v", resend))
			broken := time.Second
			var dead time.Duration
			f := r.load(t, load.Open{Rate: torture.Pick(100, 200), For: torture.Pick[time.Duration](3, 8) * time.Second,
				Streamed: streamed, Whole: whole}, func(c clock) {
				c.until(broken)
				r.set(t, 0, regions.Dead())
				begin := time.Now()
				r.awaitState(t, 0, "down")
				dead = time.Since(begin)
				if resend && !torture.Long {
					r.set(t, 0, regions.None) // or the streams there are take 20 s to end
				}
			})
			if dead > 3500*time.Millisecond && f.timed() {
				t.Errorf("the region was found dead after %v", dead)
			}
			// Requests that are due before the break may have been sent.
			late := 0
			for _, a := range f.responses {
				if a.Outcome == load.Ambiguous && a.Due > broken {
					late++
				}
				if a.Outcome == load.Ambiguous && a.End > 5*time.Second {
					t.Errorf("%s: got its 502 after %v", a.ID, a.End)
				}
			}
			if resend {
				f.wantAmbiguous(t, 0)
			} else {
				r.wantNoDouble(t, f)
				if late > len(f.responses)/100 {
					t.Errorf("%d of %d requests got a 502 though they were sent after the region broke", late,
						len(f.responses))
				}
			}
			// A connect takes three seconds to time out.
			if p99 := f.first.Quantile(0.99); p99 > time.Second && f.timed() {
				t.Errorf("the first byte came after %v (p99): %v", p99, f)
			}
			notes = append(notes, fmt.Sprintf("resend %v: %v, found dead after %v, %d 502s of requests sent later",
				resend, f, dead.Round(10*time.Millisecond), late))
		})
		t.Run(fmt.Sprintf("between header and body, resend %v", resend),
			func(t *testing.T) { blackHoleInResponse(t, resend) })
	}
}

// blackHoleInResponse is C02 for a JSON response whose header the gateway has, and
// nothing else.
func blackHoleInResponse(t *testing.T, resend bool) {
	r := startRigOver(t, regions.Options{TLS: true}, "RELAY_UPSTREAM_HTTP=2",
		fmt.Sprintf("RELAY_RESEND_AMBIGUOUS=%v", resend))
	r.sendChat(t)
	served := make(map[*regions.Region]int)
	for _, region := range r.Regions {
		served[region] = len(region.Front.Served())
	}
	r.Upstream.Script("silence=0")
	var a response
	var asking sync.WaitGroup
	asking.Go(func() { a = r.sendChat(t) })
	await(t, "the request", func() bool { return r.posts() == 2 })
	time.Sleep(200 * time.Millisecond) // for the header
	used := slices.IndexFunc(r.Regions,
		func(region *regions.Region) bool { return len(region.Front.Served()) > served[region] })
	r.set(t, used, regions.Dead())
	asking.Wait()
	if !resend {
		a.wantError(t, http.StatusBadGateway, "upstream_reset")
		r.wantPosts(t, 2)
	} else if a.status != http.StatusOK || a.upstream == r.Regions[used].Name {
		t.Errorf("%s broke, and the response is %v", r.Regions[used].Name, a)
	}
	if a.took > 5*time.Second {
		t.Errorf("%v", a)
	}
}

// C07: a region takes a second for a connect.
func slowRegion(t *testing.T, note func(string)) {
	r := startRigOver(t, regions.Options{TLS: true}, "RELAY_UPSTREAM_HTTP=2", "RELAY_PROBE_INTERVAL=off")
	const rate = 200
	n := torture.Pick(500, 10_000)
	slow := time.Second
	f := r.load(t, load.Open{Rate: rate, For: time.Duration(n) * time.Second / rate}, func(c clock) {
		// Several times, as existing connections remain in use.
		for at := slow; at < time.Duration(n-50)*time.Second/rate; at += 2 * time.Second {
			c.until(at)
			r.set(t, 0, regions.SlowConnect(time.Second))
		}
	})
	if f.outcomes[load.Complete] != n {
		t.Errorf("%v, want %d complete", f, n)
	}
	r.wantNoDouble(t, f)
	r.wantPosts(t, n)
	// The connect that was hedged takes a second by itself.
	if slowest := f.first.Quantile(1); slowest >= time.Second && f.timed() {
		t.Errorf("the slowest first byte came after %v, as if there were no hedge", slowest)
	}
	elsewhere := 0
	for _, a := range f.responses {
		if a.Upstream != "region-1" {
			elsewhere++
		}
	}
	if elsewhere == 0 {
		t.Error("no response came from another region")
	}
	note(fmt.Sprintf("%s%v, %d by another region, each POST seen once", lengthNote(), f, elsewhere))
}

// C09: a region flaps.
func flapping(t *testing.T, note func(string)) {
	r := startRig(t, "RELAY_RESEND_AMBIGUOUS=true")
	length := torture.Pick[time.Duration](8, 60) * time.Second
	f := r.load(t, load.Open{Rate: torture.Pick(100, 200), For: length}, func(clock) {
		ctx, cancel := context.WithTimeout(t.Context(), length)
		defer cancel()
		if err := r.Regions[0].Front.Flap(ctx, regions.Refused, 4*time.Second); err != nil { // every 2 s
			t.Error(err)
		}
	})
	bad := len(f.responses) - f.outcomes[load.Complete] - f.outcomes[load.Cut]
	if float64(bad) > 0.001*float64(len(f.responses)) {
		t.Errorf("%d of %d requests got no response: %v", bad, len(f.responses), f)
	}
	// A response that has begun cannot move.
	if cut := f.outcomes[load.Cut]; float64(cut) > 0.005*float64(len(f.responses)) {
		t.Errorf("%d of %d responses were truncated, which take a few milliseconds each", cut, len(f.responses))
	}
	retries := f.attempts - len(f.responses)
	if float64(retries) > 0.2*float64(len(f.responses)) {
		t.Errorf("%d retries of %d requests", retries, len(f.responses))
	}
	note(fmt.Sprintf("%s%v of flapping, with resend; %v, %d retries", lengthNote(), length, f, retries))
}

// C10: a region returns.
func regionReturns(t *testing.T, note func(string)) {
	r := startRig(t)
	front := r.Regions[0].Front
	var used [2]time.Duration
	var tries int
	const rate = 100
	again := func(c clock, i int, repair func()) {
		repair()
		repaired := c.now()
		await(t, "the region to be used again", func() bool {
			at, ok := r.used(0, rate, repaired)
			used[i] = at.Sub(time.Time(c)) - repaired
			return ok
		})
	}
	returning, returned := context.WithCancel(t.Context())
	f := r.load(t, load.Open{
		Rate: rate, For: time.Second, // and as long as it takes
		More: func() bool { return returning.Err() == nil },
	}, func(c clock) {
		defer returned()
		c.until(500 * time.Millisecond)
		r.kill(t, 0)
		r.awaitState(t, 0, "down")
		again(c, 0, func() { r.start(t, 0) })

		// Attempts stay connected to a region that hangs: count them.
		r.set(t, 0, regions.Silent)
		r.awaitState(t, 0, "down")
		before := front.Accepted()
		time.Sleep(torture.Pick[time.Duration](3, 10) * time.Second)
		tries = front.Accepted() - before
		again(c, 1, func() { r.set(t, 0, regions.None) })
	})
	for i, took := range used {
		if took > 5*time.Second {
			t.Errorf("return %d: the region was used again after %v", i+1, took)
		}
	}
	// Two probes in three seconds and a trial or two; there are 300 requests.
	if most := torture.Pick(8, 20); tries > most {
		t.Errorf("a region that was down was connected to %d times, want %d at most", tries, most)
	}
	note(fmt.Sprintf("used again %v after a kill, %v after a hang; %d connects while down; %v",
		used[0].Round(10*time.Millisecond), used[1].Round(10*time.Millisecond), tries, f))
}

// C17: every region restarts in turn.
func rollingRestart(t *testing.T, note func(string)) {
	var notes []string
	defer func() { note(lengthNote() + strings.Join(notes, "; ")) }()
	for _, test := range []struct {
		name string
		end  func(*regions.Region) error
		cuts bool // streams that have begun
	}{
		{"SIGTERM", (*regions.Region).Stop, false},
		{"SIGKILL", (*regions.Region).Kill, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := startRig(t, "RELAY_RESEND_AMBIGUOUS=true")
			restarting, done := context.WithCancel(t.Context())
			f := r.load(t, load.Open{
				Rate: torture.Pick(100, 200), For: time.Second, Streamed: streamed, Whole: whole,
				More: func() bool { return restarting.Err() == nil },
			}, func(c clock) {
				defer done()
				c.until(300 * time.Millisecond)
				for i, region := range r.Regions {
					if err := test.end(region); err != nil {
						t.Error(err)
					}
					time.Sleep(200 * time.Millisecond) // it is away
					r.start(t, i)
					time.Sleep(300 * time.Millisecond) // as in a rolling restart
				}
			})
			f.wantAmbiguous(t, 0)
			if cut := f.outcomes[load.Cut]; cut > 0 && !test.cuts {
				t.Errorf("%d responses were truncated by regions that shut down gracefully", cut)
			}
			notes = append(notes, fmt.Sprintf("%s: %v", test.name, f))
		})
	}
}
