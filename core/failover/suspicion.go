package failover

import (
	"context"
	"sync"
	"time"
)

// wellFor is how long an upstream that a check found well is not checked again.
const wellFor = 250 * time.Millisecond

// A suspicion collects what failed requests have to say against an upstream
// until a request of the pool's own has checked it. What a client sends can make
// one answer with an error page or break the connection: a firewall that
// dislikes a prompt, a front that takes shorter headers. That must not take the
// upstream down for everyone else. It is safe for concurrent use.
type suspicion struct {
	mu     sync.Mutex
	done   chan struct{} // closed when the check under way is over; nil if there is none
	blames []func()      // to be called if it fails
	wellAt time.Time     // when the last check found the upstream well
}

// suspect checks u, unless a check is under way, and calls blame if u is not
// well. The channel is closed when that is decided; it is nil if u was found well
// just now. A check ends with ctx where nothing may outlive a request.
func (p *Pool) suspect(ctx context.Context, u *upstream, blame func()) <-chan struct{} {
	s := &u.suspicion
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done == nil && time.Since(s.wellAt) < wellFor {
		return nil
	}
	s.blames = append(s.blames, blame)
	if s.done == nil {
		s.done = make(chan struct{})
		if !p.opts.Serverless {
			ctx = p.running
		}
		go p.check(ctx, u)
	}
	return s.done
}

// check decides a suspicion. It never reaches the API: what a client provokes
// must not cost requests there.
func (p *Pool) check(ctx context.Context, u *upstream) {
	_, err := p.examine(ctx, u, false)
	s := &u.suspicion
	s.mu.Lock()
	blames, done := s.blames, s.done
	s.blames, s.done = nil, nil
	if err == nil {
		s.wellAt = time.Now()
	}
	s.mu.Unlock()
	if err != nil && ctx.Err() == nil {
		for _, blame := range blames {
			blame()
		}
	}
	close(done)
}

// isRelay reports whether u is known to be a relay: its URL holds an access
// token or, where the pool asks for health, it has answered as one. The only
// upstream of a pool is never asked: it is mostly the API, which could say so of
// itself and make others believe that it processed nothing.
func (u *upstream) isRelay() bool { return u.token != "" || u.health.isRelay() }

// knowsRelay is isRelay for an upstream whose response makes that matter: one
// that is not known yet is asked, now and then.
func (p *Pool) knowsRelay(ctx context.Context, u *upstream) bool {
	if !u.isRelay() && !u.official && u.health.mayAsk() {
		_, _ = p.examine(ctx, u, false) // which notes what it finds
	}
	return u.isRelay()
}
