package failover

import (
	"context"
	"sync/atomic"
	"time"

	"example.com/relay/core/failover/internal/conn"
)

// maxAttempts is how many upstreams are tried for one request.
const maxAttempts = 3

// A candidate is an upstream that a request may be sent to. But for slowStruck,
// it belongs to the call's goroutine; while a connect is under way its race
// reads it.
type candidate struct {
	*upstream

	trial      trial
	reconnects int         // new connections made since a pooled one failed
	slowStruck atomic.Bool // a slow connect has already cost it a strike
	unproven   bool        // a new connection must carry a health check first

	fit      fit  // of the request's body
	askFirst bool // before the body is sent
}

// A trial is the state of a candidate whose upstream is down or silent: one
// request at a time may try it, over a new connection on which the upstream must
// answer a health check first.
type trial int

const (
	trialNone   trial = iota // the upstream is up
	trialDue                 // a request may try it
	trialOurs                // this request does; endTrial must be called
	trialDone                // this request did
	trialOthers              // another request does, so it comes last
)

// endTrial lets other requests try the upstream, if this one did.
func (c *candidate) endTrial() {
	if c.trial == trialOurs {
		c.trial = trialDone
		c.health.endTrial()
	}
}

// onTrial reports whether this request tries the upstream, or did.
func (c *candidate) onTrial() bool { return c.trial == trialOurs || c.trial == trialDone }

// A queue holds the candidates of a call that were not tried yet.
type queue struct {
	candidates []*candidate
	left       int // attempts

	// Where there is one upstream only, nothing is allocated:
	one  [1]*candidate
	only candidate
}

// take returns the next candidate and counts an attempt. There must be one.
func (q *queue) take(result *Result) *candidate {
	c := q.pop()
	q.left--
	result.Attempts++
	result.Upstream, result.Base = c.name, c.base
	return c
}

// pop removes the first candidate. One that another request is trying goes to
// the end.
func (q *queue) pop() *candidate {
	for {
		c := q.candidates[0]
		q.candidates = q.candidates[1:]
		if c.trial != trialDue {
			return c
		}
		c.trial = trialNone
		if c.health.startTrial() {
			c.trial = trialOurs
			return c
		}
		q.candidates = append(q.candidates, c)
	}
}

// putBack makes c the next candidate once more, as if it had not been taken.
func (q *queue) putBack(c *candidate, result *Result) {
	q.candidates = append([]*candidate{c}, q.candidates...)
	q.untake(result)
}

// postpone makes c the last candidate, as if it had not been taken.
func (q *queue) postpone(c *candidate, result *Result) {
	q.candidates = append(q.candidates, c)
	q.untake(result)
}

func (q *queue) untake(result *Result) {
	q.left++
	result.Attempts--
}

// avoid moves the upstream of that name to the end.
func (q *queue) avoid(name string) {
	for i, c := range q.candidates {
		if c.name == name && i < len(q.candidates)-1 {
			q.candidates = append(append(q.candidates[:i:i], q.candidates[i+1:]...), c)
			return
		}
	}
}

// acquire returns a connection to the first candidate that has one. Connects are
// hedged: while one takes long, the next candidate is tried alongside. The error
// says that no candidate is left.
func (c *call) acquire() (*candidate, *conn.Conn, error) {
	if c.race.idle() {
		if cand, cn, err := c.nextConn(); cn != nil || err != nil {
			return cand, cn, err
		}
	}
	ctx := c.req.Context()
	hedge := time.NewTimer(hedgeAfter)
	limit := time.NewTimer(max(connectTimeout-time.Since(c.start), minConnectTimeout))
	defer hedge.Stop()
	defer limit.Stop()
	for {
		select {
		case r := <-c.race.results:
			c.race.received(r.candidate)
			if r.err == nil {
				c.race.strikeLate()
				return r.candidate, r.conn, nil
			}
			c.note(r.candidate, c.pool.connectFailed(r.candidate, r.err), r.err)
		case <-hedge.C:
		case <-limit.C:
			for _, cand := range c.race.strikeLate() {
				c.note(cand, ClassTimeout, context.DeadlineExceeded)
			}
			return nil, nil, c.failed()
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
		if cand, cn, err := c.nextConn(); cn != nil || err != nil {
			if cn != nil {
				c.race.strikeLate()
			}
			return cand, cn, err
		}
		hedge.Reset(hedgeAfter)
	}
}

// nextConn returns a pooled connection to the next candidate, or starts to
// connect and returns nothing. The error says that no candidate is left and no
// connect under way.
func (c *call) nextConn() (*candidate, *conn.Conn, error) {
	for {
		cand := c.nextCandidate()
		if cand == nil {
			if c.race.idle() {
				return nil, nil, c.failed()
			}
			return nil, nil, nil
		}
		if c.result.Several && cand.trial != trialOurs && cand.health.unresponsive() {
			c.note(cand, cand.health.lastClass(), nil) // one request finds out for all
			continue
		}
		if !c.clearToSend(cand) {
			continue
		}
		cand.unproven = c.isUnproven(cand)
		if cand.trial != trialOurs && cand.reconnects == 0 && !cand.unproven {
			if cn := cand.connections.Take(c.needsHTTP1()); cn != nil {
				return cand, cn, nil
			}
		}
		if c.result.Several {
			c.startConnect(cand)
			return nil, nil, nil
		}
		cn, err := c.connectAlone(cand)
		if cn != nil || err != nil {
			return cand, cn, err
		}
	}
}

// connectAlone connects to the only upstream, where there is nobody to race
// with. The error is the request's end; a connect that failed is noted.
func (c *call) connectAlone(cand *candidate) (*conn.Conn, error) {
	ctx := c.req.Context()
	cn, err := c.pool.connect(ctx, cand, c.needsHTTP1())
	if err == nil {
		return cn, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	c.note(cand, c.pool.connectFailed(cand, err), err)
	return nil, nil
}

// nextCandidate returns the next candidate to try, or nil if there is none or
// the budget is used up.
func (c *call) nextCandidate() *candidate {
	q := &c.queue
	if len(q.candidates) == 0 || q.left == 0 {
		return nil
	}
	if c.result.Attempts > 0 && q.candidates[0].reconnects == 0 && !c.pool.budget.retry(c.why) {
		q.left = 0
		return nil
	}
	return q.take(&c.result)
}

// clearToSend reports whether the request may go to cand now. It waits while the
// upstream's TCP is late to acknowledge earlier requests. An upstream that
// remains silent is put on trial by this request or, if another one has it on
// trial, comes last.
func (c *call) clearToSend(cand *candidate) bool {
	if cand.trial == trialOurs || cand.trial == trialOthers || cand.reconnects > 0 || !c.result.Several {
		return true
	}
	for begun := time.Now(); ; {
		switch cand.doubt() {
		case noDoubt:
			return true
		case quiet:
			if time.Since(begun) > quietTimeout {
				return true
			}
		case suspect:
			if cand.health.startTrial() {
				cand.trial = trialOurs
				return true
			}
			cand.trial = trialOthers
			c.queue.postpone(cand, &c.result)
			return false
		}
		if !pause(c.req.Context(), doubtInterval) {
			return true // the client is gone
		}
	}
}

func (c *call) startConnect(cand *candidate) {
	if c.race == nil {
		room := len(c.queue.candidates) + c.result.Attempts + maxAttempts
		c.race = newRace(c.req.Context(), c.pool, c.needsHTTP1(), room)
	}
	c.race.start(cand)
}
