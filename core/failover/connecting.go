package failover

import (
	"context"
	"errors"
	"sync"
	"time"

	"example.com/relay/core/failover/internal/conn"
)

// A connecting tracks the connects to an upstream that are under way. It is safe
// for concurrent use.
type connecting struct {
	mu    sync.Mutex
	begun map[*candidate]time.Time
}

func (p *connecting) begin(c *candidate, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.begun == nil {
		p.begun = make(map[*candidate]time.Time)
	}
	p.begun[c] = at
}

func (p *connecting) end(c *candidate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.begun, c)
}

// areLate reports whether several of them have been hedged by now: as many as
// would take the upstream down if connects to it were usually quick.
func (p *connecting) areLate() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	late := 0
	for _, at := range p.begun {
		if time.Since(at) >= hedgeAfter {
			late++
		}
	}
	return late >= maxStrikes
}

// connect connects to c for a request. On a trial, or if it must show that it is
// alive, the upstream must also answer a health check over the connection.
func (p *Pool) connect(ctx context.Context, c *candidate, http1 bool) (*conn.Conn, error) {
	if !p.opts.Serverless && p.Several() {
		// If the request is gone by then, the connection serves another one.
		ctx = context.WithoutCancel(ctx)
	}
	onTrial := c.trial == trialOurs
	if onTrial || c.unproven {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, probeTimeout)
		defer cancel()
	}
	connect := c.connections.Connect
	if onTrial || c.unproven {
		connect = c.connections.ConnectNew // it is closed if the check fails
	}
	cn, err := connect(ctx, http1)
	if err != nil {
		return nil, err
	}
	if p.opts.Transport == nil {
		c.health.measured(cn.Took())
	}
	if !onTrial && !c.unproven {
		return cn, nil
	}
	if err := p.verify(ctx, c.upstream, cn); err != nil {
		c.connections.Drop(cn)
		return nil, err
	}
	if onTrial {
		p.logChange(c.upstream, c.health.success())
	}
	return cn, nil
}

// connectFailed holds a failed connect against c and returns its class.
func (p *Pool) connectFailed(c *candidate, err error) string {
	class := connectClass(err)
	if _, ok := errors.AsType[*probeError](err); ok {
		class = ClassUnresponsive
	}
	switch {
	case errors.Is(err, context.Canceled):
	case c.onTrial() && (class == ClassTimeout || class == ClassUnresponsive):
		// It was under suspicion before, and had its chance.
		p.strike(c.upstream, ClassUnresponsive, maxStrikes-1)
		p.endLost(c.upstream)
	case class == ClassCertificate:
		p.eject(c.upstream, class, brokenPeriod, false)
	case !c.slowStruck.Load():
		p.strike(c.upstream, class, 1)
	}
	return class
}
