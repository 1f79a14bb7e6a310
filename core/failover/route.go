package failover

import (
	"net/http"
	"slices"
)

// A Route says which upstreams a request may be sent to, whose API key it has, and when
// its response has begun. The zero value is for a request of the pool's owner that may
// go to all of them.
type Route struct {
	// Upstreams are the names of those that may get the request. If empty, all may.
	Upstreams []string

	// Key says whose API key the request has.
	Key Key

	// Hold, if not nil, is called with the response before it is returned. It may read the
	// body, and put another one in its place. Until it returns, the request waits for its
	// response. If it fails, there was none: the request may have been processed, and is
	// sent again if that is allowed.
	Hold func(*http.Response) error

	// account, if not nil, is an upstream. Only those with the same API key may get the
	// request: what one account stores, others do not have.
	account *upstream
}

// A Key says whose API key a request has. Whoever it is, an upstream that holds a key
// gets that key in place of the request's.
type Key int

const (
	OwnersKey  Key = iota // the pool owner's key, or no key: every upstream may get it
	ClientsKey            // a client's key: only upstreams without a key get it, unless all have one
	NoKey                 // no key, and none is added
)

// HoldsKeys reports whether all upstreams hold an API key, so that no key of a request
// is ever sent.
func (p *Pool) HoldsKeys() bool {
	return !slices.ContainsFunc(p.list(), func(u *upstream) bool { return u.key == "" })
}

// allows returns a function that reports whether the route leads to an upstream of the
// list, or nil if it leads to all of them.
func (r Route) allows(list []*upstream) func(*upstream) bool {
	named := func(u *upstream) bool {
		return (len(r.Upstreams) == 0 || slices.Contains(r.Upstreams, u.name)) &&
			(r.account == nil || r.account.key == u.key)
	}
	keyless := func(u *upstream) bool { return u.key == "" && named(u) }
	switch {
	case r.Key == ClientsKey && slices.ContainsFunc(list, keyless):
		return keyless
	case len(r.Upstreams) == 0 && r.account == nil:
		return nil
	}
	return named
}

// choose returns the candidates that the route leads to, of all that are in the list.
// It notes the upstreams by whose names the route leads nowhere: they were removed.
func (c *call) choose(candidates []*candidate, list []*upstream) []*candidate {
	if allows := c.route.allows(list); allows != nil {
		candidates = slices.DeleteFunc(candidates, func(cand *candidate) bool { return !allows(cand.upstream) })
	}
	if len(candidates) == 0 {
		for _, name := range c.route.Upstreams {
			c.failures = append(c.failures, Failure{Upstream: name, Class: ClassRemoved})
		}
	}
	return candidates
}

// retriesQuota reports whether another upstream may get the request if one of them says
// that its account has no credit: not if the account is the client's own.
func (c *call) retriesQuota() bool {
	return c.pool.opts.RetryQuota && c.result.Several && c.route.Key == OwnersKey
}
