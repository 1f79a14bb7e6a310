package failover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/relay/core/protocol"
)

// A Pool is an [http.RoundTripper] over several upstreams. It is safe for
// concurrent use. Its methods do not change requests.
type Pool struct {
	opts   Options
	logger *slog.Logger
	clock  func() time.Time // the wall clock

	upstreams atomic.Pointer[[]*upstream]
	fastest   fastest
	budget    budget
	lastUse   atomic.Int64 // wall clock, Unix nanoseconds

	probing sync.Once
	running context.Context // until Close
	stop    context.CancelFunc
	prober  sync.WaitGroup
}

// New returns a pool over base URLs, in order of preference, without the /v1 of
// the API's paths (a trailing /v1 is ignored). A URL may hold an access token
// for the relay there, as https://rt_token@host, an API key as its password, as
// https://:key@host, and a name for logs, as https://host#name; without one its name
// is its host. Plain http is allowed to loopback addresses only. The error does not
// quote URLs. A pool with probes must be closed.
func New(urls []string, opts Options) (*Pool, error) {
	ctx, stop := context.WithCancel(context.Background())
	p := &Pool{running: ctx, stop: stop, opts: opts, logger: opts.Logger, clock: time.Now}
	if p.logger == nil {
		p.logger = slog.New(slog.DiscardHandler)
	}
	switch opts.Policy {
	case "", PreferOrder, PreferFastest:
	default:
		stop()
		return nil, errors.New("no such policy: use order or latency")
	}
	switch opts.HTTP {
	case "", HTTPAuto, HTTP1, HTTP2:
	default:
		stop()
		return nil, errors.New("no such version of HTTP: use auto, 1.1 or 2")
	}
	if err := p.SetUpstreams(urls); err != nil {
		stop()
		return nil, err
	}
	return p, nil
}

// SetUpstreams replaces the upstreams. Those that stay keep their connections
// and their health; requests that are under way are not disturbed. On an error
// nothing changes.
func (p *Pool) SetUpstreams(urls []string) error {
	if len(urls) == 0 {
		return errors.New("no upstreams: name one base URL at least")
	}
	known := make(map[string]*upstream)
	for _, u := range p.list() {
		known[u.address()] = u
	}
	list := make([]*upstream, 0, len(urls))
	for i, address := range urls {
		u, err := newUpstream(address, p.opts)
		if err != nil {
			return fmt.Errorf("upstream %d: %w", i+1, err)
		}
		if slices.ContainsFunc(list, func(other *upstream) bool { return other.base.String() == u.base.String() }) {
			return fmt.Errorf("upstream %d: duplicate", i+1)
		}
		if old := known[u.address()]; old != nil && old.name == u.name {
			delete(known, u.address())
			u = old
		}
		list = append(list, u)
	}
	p.upstreams.Store(&list)
	for _, gone := range known {
		gone.connections.RetireAll()
	}
	if len(list) > 1 && p.opts.ProbeInterval > 0 && !p.opts.Serverless {
		p.probing.Do(func() { p.prober.Go(p.probeLoop) })
	}
	return nil
}

// Close ends the probes and closes the connections that are idle.
func (p *Pool) Close() {
	p.stop()
	p.prober.Wait()
	for _, u := range p.list() {
		u.connections.RetireAll()
	}
}

func (p *Pool) list() []*upstream {
	if list := p.upstreams.Load(); list != nil {
		return *list
	}
	return nil
}

// Several reports whether the pool has more than one upstream.
func (p *Pool) Several() bool { return len(p.list()) > 1 }

// MayRelay reports whether any of the upstreams may be a relay: all hosts may
// but OpenAI's own.
func (p *Pool) MayRelay() bool {
	return slices.ContainsFunc(p.list(), func(u *upstream) bool { return !u.official })
}

// LeadsToRelays reports whether there are relays between the pool and the API, as
// far as the upstreams' URLs tell: one holds an access token, or there are several.
func (p *Pool) LeadsToRelays() bool {
	return p.Several() || slices.ContainsFunc(p.list(), func(u *upstream) bool { return u.token != "" })
}

// A Result says how a request was sent.
type Result struct {
	Upstream string   // name of the one that responded, or was tried last
	Base     *url.URL // its base URL; not to be changed
	Attempts int      // upstreams that were tried, if only by a connect
	Several  bool     // there was a choice
	Relay    bool     // the response is an error that a relay made, and that upstream is known to be one

	from *upstream // the one that responded
}

// RoundTrip sends req to the first upstream that can take it, whatever the host
// of its URL, and returns the response. An upstream that holds an API key gets that
// in place of the request's own. Its error is an *[Error], or that of
// req's context or body. If req has a body and no GetBody, up to 1 MiB of it is
// kept to be sent again.
func (p *Pool) RoundTrip(req *http.Request) (*http.Response, error) {
	res, _, err := p.Send(req, Route{})
	return res, err
}

// Send is RoundTrip by a route, that also says how the request was sent.
func (p *Pool) Send(req *http.Request, route Route) (*http.Response, Result, error) {
	p.thaw()
	c := p.newCall(req, route)
	defer c.end()
	res, err := c.send()
	if err != nil {
		c.closeBody()
		return nil, c.result, err
	}
	res.Request = req
	c.closeBodyAfter(res)
	c.makeResumable(res)
	return res, c.result, nil
}

// apply applies a verdict's penalty to u.
func (p *Pool) apply(u *upstream, v verdict) {
	switch v.penalty {
	case credit:
		p.logChange(u, u.health.success())
	case strike:
		p.strike(u, v.class, 1)
	case eject:
		p.eject(u, v.class, brokenPeriod, protocol.IsOfToken(v.class) || v.class == classOutOfQuota)
	case ban:
		p.eject(u, v.class, refusedPeriod, false)
	}
}

// last reports whether u is the last upstream that is up.
func (p *Pool) last(u *upstream) bool {
	for _, other := range p.list() {
		if down, _ := other.health.down(); other != u && !down {
			return false
		}
	}
	return true
}

func (p *Pool) strike(u *upstream, class string, weight int) {
	p.logChange(u, u.health.strike(class, weight, p.last(u)))
}

func (p *Pool) eject(u *upstream, class string, period time.Duration, needsTraffic bool) {
	p.logChange(u, u.health.eject(class, period, needsTraffic, p.last(u)))
}

// logChange logs when an upstream goes down or comes back up.
func (p *Pool) logChange(u *upstream, c change) {
	switch c {
	case wentDown:
		_, left := u.health.down()
		p.logger.Warn("upstream down",
			"upstream", u.name, "reason", u.health.lastClass(), "retry_in_ms", left.Milliseconds())
	case cameBack:
		p.logger.Info("upstream up", "upstream", u.name)
	}
}

// A Status is what is known of an upstream by the newest observation, a probe or
// a request.
type Status struct {
	Name      string
	State     string        // up; suspect: silent, or failed the last time; or down
	InFlight  int           // requests that it has
	Latency   time.Duration // moving average of connects and probes; 0 if unknown
	LastError string        // class of the last failure, which may be over; or ""
	RetryIn   time.Duration // how long it is left alone, if it is down
	CheckedAt time.Time     // newest observation; zero if there is none
	ErrorAt   time.Time     // last failure; zero if there is none
}

// Status returns what is known of each upstream, in their order. The last
// upstream, which is used even if it fails, is down all the same. Calling Status
// counts as use: while somebody looks, probes run at their interval.
func (p *Pool) Status() []Status {
	p.thaw()
	return p.LastStatus()
}

// LastStatus is [Pool.Status] that does not count as use: a monitor that calls it
// causes no probes.
func (p *Pool) LastStatus() []Status {
	list := p.list()
	all := make([]Status, len(list))
	for i, u := range list {
		all[i] = u.status()
	}
	return all
}

func (u *upstream) status() Status {
	h := &u.health
	st := Status{Name: u.name, State: "up", InFlight: len(u.attempts())}
	_, st.RetryIn = h.down()
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.isEjected():
		st.State = "down"
	case h.strikes > 0, u.silence.suspicious(), u.stall.doubted.Load():
		st.State = "suspect"
	}
	st.Latency, st.LastError = h.latency, h.lastError
	st.CheckedAt, st.ErrorAt = h.checkedAt, h.errorAt
	return st
}
