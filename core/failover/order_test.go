package failover

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Upstreams are tried in an order that follows from their states alone.
func TestOrder(t *testing.T) {
	up := func(*upstream) {}
	downFor := func(d time.Duration) func(*upstream) {
		return func(u *upstream) { u.health.until = time.Now().Add(d) }
	}
	due := downFor(-time.Second)
	doubted := func(u *upstream) { u.stall.doubted.Store(true) }
	late := func(u *upstream) {
		for range maxStrikes {
			u.connecting.begin(new(candidate), time.Now().Add(-time.Minute))
		}
	}
	unresponsive := func(u *upstream) { u.health.strikes, u.health.lastError = maxStrikes, ClassTimeout }
	takes := func(d time.Duration) func(*upstream) { return func(u *upstream) { u.health.latency = d } }
	for name, test := range map[string]struct {
		policy  Policy
		a, b, c func(*upstream)
		want    string // names; "?" behind one that is on trial
	}{
		"all are up":        {PreferOrder, up, up, up, "a b c"},
		"the first is down": {PreferOrder, downFor(time.Second), up, up, "b c a"},
		"all are down, by how long": {PreferOrder, downFor(3 * time.Second), downFor(time.Second),
			downFor(2 * time.Second), "b c a"},
		"one is due and keeps its place": {PreferOrder, due, up, downFor(time.Second), "a? b c"},
		"one is in doubt":                {PreferOrder, up, doubted, up, "a b? c"},
		"the last one up has failed": {PreferOrder, unresponsive, downFor(time.Second), downFor(time.Minute),
			"a? b c"},
		"connects to one are late": {PreferOrder, late, up, downFor(time.Second), "b a c"},
		"connects to all are late": {PreferOrder, late, late, late, "a b c"},
		"the fastest": {PreferFastest, takes(90 * time.Millisecond), takes(30 * time.Millisecond),
			takes(60 * time.Millisecond), "b c a"},
		"the fastest is down": {PreferFastest, downFor(time.Second), takes(60 * time.Millisecond),
			takes(30 * time.Millisecond), "c b a"},
		"one was never measured": {PreferFastest, up, takes(time.Second), takes(time.Minute), "b c a"},
		"none was":               {PreferFastest, up, up, up, "a b c"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := openPool(t, Options{Policy: test.policy, Serverless: true}, "https://a.example#a",
					"https://b.example#b", "https://c.example#c")
				defer p.Close()
				list := p.list()
				for i, set := range []func(*upstream){test.a, test.b, test.c} {
					set(list[i])
				}
				var got []string
				for _, c := range p.order(list) {
					name := c.name
					if c.trial != trialNone {
						name += "?"
					}
					got = append(got, name)
				}
				if got := strings.Join(got, " "); got != test.want {
					t.Errorf("%s, want %s", got, test.want)
				}
			})
		})
	}
}

// With PreferFastest the choice changes only for what is faster by a fifth and by 10 ms,
// or if the one that is preferred goes down.
func TestFastest(t *testing.T) {
	for name, test := range map[string]struct {
		current       int // -1: none
		first, second time.Duration
		firstIsDown   bool
		want          int
	}{
		"none was preferred":          {-1, 50, 40, false, 1},
		"none was measured":           {-1, 0, 0, false, 0},
		"faster by 5 ms":              {1, 45, 50, false, 1},
		"faster by 20 ms":             {1, 30, 50, false, 0},
		"faster by a fifth":           {1, 200, 250, false, 1},
		"faster by more than that":    {1, 199, 250, false, 0},
		"faster by half, and by 1 ms": {0, 2, 1, false, 0},
		"it goes down":                {0, 10, 500, true, 1},
		"it was never measured":       {0, 0, 500, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			list := []*upstream{new(upstream), new(upstream)}
			list[0].health.latency, list[1].health.latency = test.first*time.Millisecond, test.second*time.Millisecond
			if test.firstIsDown {
				list[0].health.until = time.Now().Add(time.Minute)
			}
			var f fastest
			if test.current >= 0 {
				f.current.Store(list[test.current])
			}
			if got := f.choose(list); got != list[test.want] {
				t.Errorf("the other one, want %d", test.want)
			}
		})
	}
}
