package failover

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options say how a pool behaves. The zero value is good for a program that
// fails over by itself.
type Options struct {
	// Policy says which healthy upstream is preferred. If empty, PreferOrder.
	Policy Policy

	// ResendAmbiguous lets a request be sent once more, to another upstream if
	// there is one, when it may have been processed and got no answer: a POST may
	// then be processed, and paid for, twice.
	ResendAmbiguous bool

	// ResumeResponses lets the event stream of a background response go on
	// through another upstream when it breaks off. It holds back what is not a
	// complete event.
	ResumeResponses bool

	// ProbeInterval is the time between probes of each upstream while there is
	// traffic, and a sixth of that without. An upstream that is down is probed
	// more often. If zero or negative, there are no probes, and health is learned
	// from requests alone.
	ProbeInterval time.Duration

	// Serverless says that the process may be frozen between requests: no
	// goroutine and no timer outlives its request. It turns probes off.
	Serverless bool

	// HTTP1 keeps connections to HTTP/1.1.
	HTTP1 bool

	// Proxy returns the proxy for a request, as [http.Transport]'s does. If nil,
	// there is none.
	Proxy func(*http.Request) (*url.URL, error)

	// TLS is the configuration of connections to upstreams. If nil, the system's
	// roots and TLS 1.2 or later.
	TLS *tls.Config

	// Transport, if not nil, sends the requests in place of connections of the
	// pool's own. Connects are then not hedged. It must neither decompress nor
	// send a request again after bytes of it were written.
	Transport http.RoundTripper

	// Logger is told when an upstream goes down and comes back. If nil, nobody is.
	Logger *slog.Logger
}

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
// for the relay there, as https://rt_token@host, and a name for logs, as
// https://host#name; without one its name is its host. Plain http is allowed to
// loopback addresses only. The error does not quote URLs. A pool with probes
// must be closed.
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
			return fmt.Errorf("upstream %d: is there already", i+1)
		}
		if old := known[u.address()]; old != nil && old.name == u.name {
			delete(known, u.address())
			u = old
		}
		list = append(list, u)
	}
	p.upstreams.Store(&list)
	for _, gone := range known {
		gone.connections.leaveBehind()
	}
	if len(list) > 1 && p.opts.ProbeInterval > 0 && !p.opts.Serverless {
		p.probing.Do(func() { p.prober.Go(p.probeOn) })
	}
	return nil
}

// Close ends the probes and closes the connections that are idle.
func (p *Pool) Close() {
	p.stop()
	p.prober.Wait()
	for _, u := range p.list() {
		u.connections.leaveBehind()
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

// mostAttempts is how many upstreams are tried for one request.
const mostAttempts = 3

// A Result says how a request was sent.
type Result struct {
	Upstream string   // name of the one that answered, or was tried last
	Base     *url.URL // its base URL; not to be changed
	Attempts int      // upstreams that were tried, if only by a connect
	Several  bool     // there was a choice
	Relay    bool     // the response is an error that a relay made, and that upstream is known to be one
}

// RoundTrip sends req to the first upstream that can take it, whatever the host
// of its URL, and returns the answer. Its error is an *[Error], or that of
// req's context or body. If req has a body and no GetBody, up to 1 MiB of it is
// kept to be sent again.
func (p *Pool) RoundTrip(req *http.Request) (*http.Response, error) {
	res, _, err := p.Send(req)
	return res, err
}

// Send is RoundTrip that also says how the request was sent.
func (p *Pool) Send(req *http.Request) (*http.Response, Result, error) {
	p.thaw()
	s := p.newSending(req)
	defer s.end()
	res, err := s.send()
	if err != nil {
		s.closeBody()
		return nil, s.result, err
	}
	res.Request = req
	s.closeBodyAfter(res)
	s.makeResumable(res)
	return res, s.result, nil
}

// connect connects to c for a request. A trial must answer over the connection
// as well.
func (p *Pool) connect(ctx context.Context, c *candidate, http1 bool) (*conn, error) {
	if !p.opts.Serverless && p.Several() {
		// The connection serves another request if this one is gone by then.
		ctx = context.WithoutCancel(ctx)
	}
	if c.trial {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, probeTime)
		defer cancel()
	}
	start := time.Now()
	conn, err := c.connections.connect(ctx, http1)
	if err != nil {
		return nil, err
	}
	if p.opts.Transport == nil {
		c.health.measured(time.Since(start))
	}
	if !c.trial {
		return conn, nil
	}
	if err := p.verify(ctx, c.upstream, conn); err != nil {
		c.connections.drop(conn)
		return nil, err
	}
	p.noteChange(c.upstream, c.health.success())
	return conn, nil
}

// connectFailed notes that c could not be connected to.
func (p *Pool) connectFailed(c *candidate, err error) string {
	class := connectClass(err)
	if _, ok := errors.AsType[*probeError](err); ok {
		class = ClassUnresponsive
	}
	switch {
	case errors.Is(err, context.Canceled):
	case c.tried && (class == ClassTimeout || class == ClassUnresponsive):
		// It was suspected before, and had its chance.
		p.strike(c.upstream, ClassUnresponsive, strikesOut-1)
		p.endLost(c.upstream)
	case class == ClassCertificate:
		p.eject(c.upstream, class, brokenFor, false)
	case !c.late.Load(): // or it has its strike
		p.strike(c.upstream, class, 1)
	}
	return class
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
	if p.Several() {
		p.noteChange(u, u.health.strike(class, weight, p.last(u)))
	}
}

func (p *Pool) eject(u *upstream, class string, period time.Duration, stubborn bool) {
	if p.Several() {
		p.noteChange(u, u.health.eject(class, period, stubborn, p.last(u)))
	}
}

// noteChange logs a change of an upstream's health, and ends what is lost with
// it.
func (p *Pool) noteChange(u *upstream, c change) {
	switch c {
	case wentDown:
		_, left := u.health.down()
		p.logger.Warn("upstream down", "upstream", u.name, "reason", u.health.lastClass(), "retry_in_ms", left.Milliseconds())
	case cameBack:
		p.logger.Info("upstream up", "upstream", u.name)
	}
}

// frozenAfter is the gap between requests after which a process may have been
// frozen and its idle connections closed by the upstream meanwhile. Lambda
// functions without this rule fail about a third of their POSTs after a thaw.
const frozenAfter = 20 * time.Second

// thaw leaves all connections behind when the process may have been frozen. It
// goes by the wall clock: timers and the monotonic clock may stand still in a
// freeze. To close the idle connections would not do: one that was in use until
// the freeze may become idle only after it.
func (p *Pool) thaw() {
	now := p.clock().UnixNano()
	last := p.lastUse.Swap(now)
	if gap := time.Duration(now - last); last != 0 && (gap > frozenAfter || gap < -frozenAfter) {
		for _, u := range p.list() {
			u.connections.leaveBehind()
		}
	}
}

// touch says that the process is running: a stream is no gap. It is called
// before bytes are handed on, never after, when a freeze may lie between the
// two and would be covered up.
func (p *Pool) touch() { p.lastUse.Store(p.clock().UnixNano()) }

// A Status is what is known of an upstream.
type Status struct {
	Name      string
	State     string        // up, suspect (silent behind its connections) or down
	InFlight  int           // requests that it has
	Latency   time.Duration // moving average of connects and probes; 0 if unknown
	LastError string        // class of the last failure, which may be over; or ""
	RetryIn   time.Duration // how long it is left alone, if it is down
}

// Status returns what is known of each upstream, in their order.
func (p *Pool) Status() []Status {
	list := p.list()
	all := make([]Status, len(list))
	for i, u := range list {
		all[i] = u.status()
	}
	return all
}

func (u *upstream) status() Status {
	st := Status{Name: u.name, State: "up", InFlight: len(u.attempts())}
	down, left := u.health.down()
	switch {
	case down:
		st.State, st.RetryIn = "down", left
	case u.silence.suspicious():
		st.State = "suspect"
	}
	u.health.mu.Lock()
	defer u.health.mu.Unlock()
	st.Latency, st.LastError = u.health.latency, u.health.lastError
	return st
}
