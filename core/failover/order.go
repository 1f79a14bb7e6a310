package failover

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"
)

// A Policy says which of the healthy upstreams is preferred.
type Policy string

const (
	// PreferOrder takes the first one of the list.
	PreferOrder Policy = "order"
	// PreferFastest takes the one that connects and answers probes fastest, by a
	// moving average. It stays with it until another is faster by a fifth and by
	// 10 ms. Upstreams that were never measured come last.
	PreferFastest Policy = "latency"
)

// order returns the upstreams in the order in which to try them: those that are
// up, as preferred; then those to which several connects are late already; then
// those that are down, by how soon they may be tried. One that is due for a
// trial keeps its place, for one request at a time. It never returns none: a
// request is better tried than refused on a guess.
func (p *Pool) order(list []*upstream) []*candidate {
	type place struct {
		rank int
		wait time.Duration
		*candidate
	}
	places := make([]place, 0, len(list))
	for _, u := range p.preferred(list) {
		pl := place{candidate: &candidate{upstream: u}}
		down, left := u.health.down()
		switch {
		case down && left > 0:
			pl.rank, pl.wait = 1, left
		case down || u.silence.suspicious() || u.stall.doubted.Load() || u.health.unresponsive():
			pl.trial = trialDue // even if it is the last
		case u.connecting.areLate() && !u.connections.AtHand():
			pl.rank = 1 // hedging what others hedge already would use up the budget
		}
		places = append(places, pl)
	}
	slices.SortStableFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.wait, b.wait))
	})
	candidates := make([]*candidate, len(places))
	for i, pl := range places {
		candidates[i] = pl.candidate
	}
	return candidates
}

// preferred returns list by preference.
func (p *Pool) preferred(list []*upstream) []*upstream {
	if p.opts.Policy != PreferFastest {
		return list
	}
	favorite := p.fastest.choose(list)
	rest := slices.DeleteFunc(slices.Clone(list), func(u *upstream) bool { return u == favorite })
	slices.SortStableFunc(rest, func(a, b *upstream) int { return cmp.Compare(a.latency(), b.latency()) })
	return append([]*upstream{favorite}, rest...)
}

// A fastest remembers the upstream that is preferred for its speed.
type fastest struct{ current atomic.Pointer[upstream] }

// choose returns the upstream to prefer.
func (f *fastest) choose(list []*upstream) *upstream {
	up := slices.DeleteFunc(slices.Clone(list), func(u *upstream) bool { down, _ := u.health.down(); return down })
	if len(up) == 0 {
		up = list
	}
	best := slices.MinFunc(up, func(a, b *upstream) int { return cmp.Compare(a.latency(), b.latency()) })
	current := f.current.Load()
	if current == nil || !slices.Contains(up, current) || isFaster(best.latency(), current.latency()) {
		f.current.Store(best)
		return best
	}
	return current
}

// isFaster reports whether a is less than b by enough to be worth a change.
func isFaster(a, b time.Duration) bool {
	return a < b-b/5 && a < b-10*time.Millisecond
}

// latency returns the moving average, or more than any if it is unknown.
func (u *upstream) latency() time.Duration { return cmp.Or(u.health.avgConnect(), time.Hour) }
