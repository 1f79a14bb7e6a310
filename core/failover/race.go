package failover

import (
	"context"
	"sync"
	"time"

	"example.com/relay/core/failover/internal/conn"
)

const (
	// hedgeDelay is how long a connect may take before the next upstream is tried
	// alongside (RFC 8305, section 5).
	hedgeDelay = 250 * time.Millisecond

	// connectTimeout bounds all connects of a request together where there are
	// several upstreams, and minConnectTimeout is what is left of it for a request
	// that was sent before.
	connectTimeout    = 3 * time.Second
	minConnectTimeout = hedgeDelay
)

// hedgeAfter is hedgeDelay. Tests shorten it.
var hedgeAfter = hedgeDelay

// A race connects to several upstreams. The first connection to be established
// carries the request; later ones are kept for others. Its methods are for the
// call's goroutine, but for keep and offer.
type race struct {
	pool   *Pool
	ctx    context.Context // of the connects
	cancel context.CancelFunc
	http1  bool
	begun  map[*candidate]time.Time // connects whose results are still to come

	mu      sync.Mutex // guards over, and sending to results
	over    bool       // the call no longer waits
	results chan connectResult
}

// A connectResult is a connection, or why there is none.
type connectResult struct {
	*candidate
	conn *conn.Conn
	err  error
}

// newRace returns a race of up to n connects.
func newRace(ctx context.Context, p *Pool, http1 bool, n int) *race {
	r := &race{
		pool:    p,
		cancel:  func() {},
		http1:   http1,
		begun:   make(map[*candidate]time.Time),
		results: make(chan connectResult, n),
	}
	if p.opts.Serverless {
		r.ctx, r.cancel = context.WithCancel(ctx) // nothing outlives the request
	} else {
		r.ctx = context.WithoutCancel(ctx) // late connections serve other requests
	}
	return r
}

// start starts to connect to c.
func (r *race) start(c *candidate) {
	r.begun[c] = time.Now()
	c.connecting.begin(c, r.begun[c])
	go func() {
		cn, err := r.pool.connect(r.ctx, c, r.http1)
		c.connecting.end(c)
		if result := (connectResult{c, cn, err}); !r.offer(result) {
			r.keep(result)
		}
	}()
}

// idle reports whether no connect is under way. A nil race is idle.
func (r *race) idle() bool { return r == nil || len(r.begun) == 0 }

// received notes that the result for c was received.
func (r *race) received(c *candidate) {
	delete(r.begun, c)
	c.endTrial()
}

// strikeLate strikes the upstreams whose connects are under way and late, unless
// they take no longer than usual, and returns the candidates.
func (r *race) strikeLate() (late []*candidate) {
	if r == nil {
		return nil
	}
	for c, since := range r.begun {
		late = append(late, c)
		if c.unproven {
			r.pool.lookNow(c.upstream)
		}
		if took := time.Since(since); took >= hedgeAfter && took > 2*c.health.avgConnect() && c.trial != trialOurs {
			c.slowStruck.Store(true)
			r.pool.strike(c.upstream, ClassTimeout, 1)
		}
	}
	return late
}

// offer reports whether the call still waits, and gives it the result then.
func (r *race) offer(result connectResult) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return false
	}
	r.results <- result // never blocks: there is room for all
	return true
}

// end says that the call no longer waits.
func (r *race) end() {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.over = true
	r.mu.Unlock()
	r.cancel()
	for {
		select {
		case late := <-r.results:
			r.keep(late)
		default:
			return
		}
	}
}

// keep takes a result for which no call waits.
func (r *race) keep(result connectResult) {
	result.endTrial()
	if result.err != nil {
		r.pool.connectFailed(result.candidate, result.err)
		return
	}
	result.conn.Release()
}
