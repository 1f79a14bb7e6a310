package core

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/relay/core/protocol"
)

// A grant is what a named token permits, and what is used of it. It is safe for
// concurrent use.
type grant struct {
	NamedToken

	mu       sync.Mutex // guards what follows
	inFlight int
	paidTill time.Time // the requests so far are within the rate up to this time
}

// isOver reports whether the token has expired.
func (g *grant) isOver(now time.Time) bool { return !g.Expires.IsZero() && !now.Before(g.Expires) }

// allows reports whether the token permits a request's path and method.
func (g *grant) allows(req *http.Request) bool {
	path := req.URL.EscapedPath()
	return (len(g.Methods) == 0 || slices.Contains(g.Methods, req.Method)) &&
		(len(g.Paths) == 0 || slices.ContainsFunc(g.Paths, func(p string) bool {
			rest, ok := strings.CutPrefix(path, strings.TrimSuffix(p, "/"))
			return ok && (rest == "" || rest[0] == '/')
		}))
}

// leadsTo reports whether the token's requests may go to the upstream of that name. A
// nil grant leads to all of them.
func (g *grant) leadsTo(upstream string) bool {
	return g == nil || len(g.Upstreams) == 0 || slices.Contains(g.Upstreams, upstream)
}

// begin counts a request of the token, or returns the error to respond with. After
// nil, end must be called. It goes by the wall clock: others stand still while a
// function is frozen.
func (g *grant) begin(now time.Time) error {
	now = now.Round(0)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.MaxInFlight > 0 && g.inFlight >= g.MaxInFlight {
		return errTokenInFlight
	}
	if g.PerMinute > 0 {
		// What is paid for can end a minute from now only if the clock was set back.
		if ahead := g.paidTill.Sub(now); ahead < 0 || ahead > time.Minute {
			g.paidTill = now
		}
		gap := time.Minute / time.Duration(g.PerMinute)
		if wait := g.paidTill.Sub(now) + gap - time.Minute; wait > 0 {
			limited := *errTokenRate
			limited.RetryAfter = min(wait.Truncate(time.Millisecond)+time.Millisecond, errTokenRate.RetryAfter)
			return &limited
		}
		g.paidTill = g.paidTill.Add(gap)
	}
	g.inFlight++
	return nil
}

// end undoes what begin counted as in flight.
func (g *grant) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight--
}

// report returns what the token's holder may know of it.
func (g *grant) report() *protocol.TokenHealth {
	r := &protocol.TokenHealth{Name: g.Name, Paths: g.Paths, Methods: g.Methods, Models: g.Models,
		Upstreams: g.Upstreams, MaxInFlight: g.MaxInFlight, PerMinute: g.PerMinute}
	if !g.Expires.IsZero() {
		r.Expires = g.Expires.UTC().Format(time.RFC3339)
	}
	return r
}
