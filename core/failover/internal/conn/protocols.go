package conn

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"slices"
	"syscall"
	"time"
)

const (
	// maxBusy is how many connections of HTTP/1.1 to an upstream may be busy before
	// further requests use HTTP/2. A request over HTTP/1.1 takes less CPU, and a dead
	// connection is noticed before it gets one. But a connection carries one request at
	// a time, and its handshake takes some 0.6 ms of CPU, which it saves in eight
	// requests. So many handshakes are 20 ms, and more requests than that are a burst on
	// most relays.
	maxBusy = 32

	// perConnect is how many requests share a connect that offers HTTP/2: servers
	// should allow that many on a connection (RFC 9113, section 6.5.2). If they do not,
	// a request waits for maxWaits connects at most before it makes its own.
	perConnect = 100
	maxWaits   = 3

	// closedPause is how long HTTP/2 comes first after the upstream has closed a
	// connection that offered HTTP/1.1 alone, and then spoken HTTP/2: that may have been
	// the network's doing.
	closedPause = 10 * time.Minute
)

// protocols decide by which protocol a request is sent. They are guarded by their Set's
// mu.
type protocols struct {
	maxBusy int               // 0 if HTTP/2 comes first
	busy    int               // connections of HTTP/1.1 in use, those under way included
	pending []*pendingConnect // under way

	spoke1 bool      // the upstream has spoken HTTP/1.1
	again1 time.Time // when to offer HTTP/1.1 alone again, although it failed; zero: never
	lacks2 bool      // the upstream chose HTTP/1.1 when it was last offered both
}

// maxBusyFor returns what opts say of maxBusy.
func maxBusyFor(opts Options) int {
	switch {
	case opts.HTTP1 || opts.Base.Scheme != "https":
		return math.MaxInt
	case opts.HTTP2:
		return 0
	}
	return maxBusy
}

// preferHTTP1 reports whether the next request should use an idle connection of HTTP/1.1
// or make one, even if others of HTTP/2 exist: or else one burst would keep requests on
// HTTP/2 for as long as they overlap.
func (p *protocols) preferHTTP1() bool { return p.busy < p.maxBusy }

// setBusy notes whether c is a connection of HTTP/1.1 in use.
func (p *protocols) setBusy(c *Conn, busy bool) {
	if c.busy == busy || c.forSwitch {
		return
	}
	c.busy = busy
	if busy {
		p.busy++
	} else {
		p.busy--
	}
}

// begin decides what c offers. If mayShare is true and c is to offer HTTP/2, it returns the
// connect to wait for, or the one that c leads.
func (s *Set) begin(c *Conn, mayShare bool) (shared *pendingConnect, leads bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.protocols
	c.generation = s.generation
	if !p.again1.IsZero() && time.Now().After(p.again1) {
		p.maxBusy, p.again1 = maxBusy, time.Time{}
	}
	c.offers1 = c.forSwitch || p.preferHTTP1()
	p.setBusy(c, c.offers1)
	if c.offers1 || !mayShare || p.lacks2 {
		return nil, false
	}
	for _, shared := range p.pending {
		if shared.requests < perConnect {
			shared.requests++
			return shared, false
		}
	}
	shared = &pendingConnect{requests: 1, done: make(chan struct{})}
	p.pending = append(p.pending, shared)
	return shared, true
}

// end notes what the connect of c has shown.
func (s *Set) end(c *Conn, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.protocols
	began1 := c.busy
	p.setBusy(c, err == nil && !c.http2 && c.client.Err() == nil)
	switch {
	case err != nil || c.forSwitch:
	case c.http2 && began1 && !p.spoke1:
		p.maxBusy, p.again1 = 0, time.Time{} // it speaks nothing else
		if !c.refused1 {
			p.again1 = time.Now().Add(closedPause)
		}
	case c.http2:
		p.lacks2 = false
	default:
		p.spoke1, p.lacks2 = true, p.lacks2 || !c.offers1
	}
}

// refuses1 reports whether err says that the upstream does not speak HTTP/1.1.
func refuses1(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error" || errors.Is(err, errNoProtocol)
}

// closed reports whether err says that the connection was closed.
func closed(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) }

// mayNeedHTTP2 reports whether the connect of c, which offered HTTP/1.1 only, may have
// failed since the upstream speaks HTTP/2 only: it may send an alert (RFC 7301, section
// 3.2), close the connection, or agree to no protocol.
func (s *Set) mayNeedHTTP2(c *Conn, err error) bool {
	if !refuses1(err) && !closed(err) || !c.offers1 || c.forSwitch {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.protocols.spoke1 && s.protocols.maxBusy < math.MaxInt
}

// A pendingConnect is one under way that offers HTTP/2. Requests that come meanwhile use
// its connection, rather than making one each.
type pendingConnect struct {
	requests int // that will use it; guarded by the Set's mu

	// Set before done is closed:
	conn *Conn // nil if it cannot be shared
	err  error // nil if it failed because its own request has ended
	done chan struct{}
}

// wait returns its connection, reserved for another request, or nothing if it
// cannot take one.
func (shared *pendingConnect) wait(ctx context.Context) (*Conn, error) {
	select {
	case <-shared.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if shared.conn == nil || !shared.conn.Reserve() {
		return nil, shared.err
	}
	return shared.conn, nil
}

// release tells those who wait for shared that c is connected, or not.
func (s *Set) release(ctx context.Context, c *Conn, shared *pendingConnect, err error) {
	s.mu.Lock()
	p := &s.protocols
	p.pending = slices.DeleteFunc(p.pending, func(other *pendingConnect) bool { return other == shared })
	s.mu.Unlock()
	if err == nil && c.http2 {
		shared.conn = c
	}
	if ctx.Err() == nil {
		shared.err = err
	}
	close(shared.done)
}
