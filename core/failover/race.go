package failover

import (
	"context"
	"sync"
	"time"
)

// hedgeAfter is how long a connect may take before the next upstream is tried
// alongside (RFC 8305, section 5). Tests shorten it.
var hedgeAfter = hedgeDefault

const hedgeDefault = 250 * time.Millisecond

// connectWithin bounds all connects of a request together where there are
// several upstreams.
const connectWithin = 3 * time.Second

// leastConnect is what is left of it for a request that was sent once already.
const leastConnect = hedgeDefault

// A race connects to several upstreams. The first connection that stands is for
// the request; later ones are kept for others.
type race struct {
	pool   *Pool
	ctx    context.Context
	cancel context.CancelFunc
	http1  bool
	begun  map[*candidate]time.Time // connects whose results are to come

	mu      sync.Mutex
	over    bool
	results chan connected
}

// connected is a connect's result.
type connected struct {
	*candidate
	conn *conn
	err  error
}

// newRace returns a race of n connects at most.
func newRace(p *Pool, ctx context.Context, http1 bool, n int) *race {
	r := &race{pool: p, http1: http1, begun: make(map[*candidate]time.Time), results: make(chan connected, n), cancel: func() {}}
	if p.opts.Serverless {
		r.ctx, r.cancel = context.WithCancel(ctx) // nothing outlives the request
	} else {
		r.ctx = context.WithoutCancel(ctx) // late connections serve other requests
	}
	return r
}

// start begins to connect to c.
func (r *race) start(c *candidate) {
	r.begun[c] = time.Now()
	c.connecting.begin(c, r.begun[c])
	go func() {
		conn, err := r.pool.connect(r.ctx, c, r.http1)
		c.connecting.end(c)
		if result := (connected{c, conn, err}); !r.offer(result) {
			r.keep(result) // nobody waits any more
		}
	}()
}

// A connecting keeps the connects to an upstream that are under way. It is safe
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
// would make the upstream down if connects did not always take long there.
func (p *connecting) areLate() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	late := 0
	for _, at := range p.begun {
		if time.Since(at) >= hedgeAfter {
			late++
		}
	}
	return late >= strikesOut
}

// quiet reports whether no connect is under way.
func (r *race) quiet() bool { return r == nil || len(r.begun) == 0 }

// received notes that the result of c has come.
func (r *race) received(c *candidate) {
	delete(r.begun, c)
	c.trialOver()
}

// outrun notes that the connects under way took too long, and returns whose. An
// upstream that takes no longer than it used to has done nothing wrong.
func (r *race) outrun() (late []*candidate) {
	if r == nil {
		return nil
	}
	for c, since := range r.begun {
		late = append(late, c)
		if took := time.Since(since); took >= hedgeAfter && took > 2*c.health.usual() && !c.trial {
			c.late.Store(true)
			r.pool.strike(c.upstream, ClassTimeout, 1)
		}
	}
	return late
}

// offer reports whether somebody waits for the result, who then has it.
func (r *race) offer(result connected) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return false
	}
	r.results <- result // never blocks: there is room for all
	return true
}

// end says that nobody waits any more.
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

// keep takes in the result of a connect for which nobody waits.
func (r *race) keep(result connected) {
	result.trialOver()
	if result.err != nil {
		r.pool.connectFailed(result.candidate, result.err)
		return
	}
	result.conn.release()
}
