package lambdaemu

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// pool holds the environments of a function: as many as there are events at
// once, up to the function's concurrency. None ends for being idle.
type pool struct {
	function Function
	logs     *logs
	watchers sync.WaitGroup
	ctx      context.Context // canceled by close
	cancel   context.CancelFunc

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change
	closed  bool
	all     []*environment // the most recently idle at the end
	stats   Stats
}

// Stats are a function's counts so far.
type Stats struct {
	Spawned     int // environments
	Crashed     int // environments that exited unasked
	TimedOut    int // environments that were killed because an invocation took too long
	Invocations int // events that a runtime got
	Throttled   int // events that no runtime got, for lack of concurrency

	// Init is how long environments took from their start to their first /next.
	Init []time.Duration
}

func newPool(f Function, l *logs) *pool {
	ctx, cancel := context.WithCancel(context.Background())
	return &pool{function: f, logs: l, ctx: ctx, cancel: cancel, changed: make(chan struct{})}
}

// invoke has an environment work on inv.
func (p *pool) invoke(ctx context.Context, inv *invocation) (*Response, error) {
	e, err := p.acquire(ctx)
	if err != nil {
		return nil, err
	}
	// The environment is reserved and starting: it gets its event even if ctx ends.
	limit, cancel := context.WithTimeout(context.Background(), p.function.InitTimeout)
	defer cancel()
	if err := e.runtime.dispatch(limit, inv); err != nil {
		p.failed(e)
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("%w: not within %v", ErrInit, p.function.InitTimeout)
		}
		return nil, err
	}
	return inv.await(ctx)
}

// acquire reserves an environment: one that is idle, else one that will be in
// a moment, else a new one.
func (p *pool) acquire(ctx context.Context) (*environment, error) {
	patience := time.NewTimer(p.function.SettleTimeout)
	defer patience.Stop()
	for patient := true; ; {
		e, changed, err := p.tryAcquire(patient)
		if changed == nil {
			return e, err
		}
		select {
		case <-changed:
		case <-patience.C:
			patient = false
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// tryAcquire returns what acquire does, or a channel to wait on.
func (p *pool) tryAcquire(patient bool) (*environment, <-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, ErrExited
	}
	settles := false
	for _, e := range slices.Backward(p.all) {
		if e.state == idle {
			e.state = reserved
			return e, nil, nil
		}
		settles = settles || e.state == settling
	}
	if settles && patient {
		return nil, p.changed, nil
	}
	if len(p.all) >= p.function.Concurrency {
		p.stats.Throttled++
		return nil, nil, ErrThrottled
	}
	e, err := p.spawn()
	return e, nil, err
}

// spawn starts an environment. The lock must be held.
func (p *pool) spawn() (*environment, error) {
	p.stats.Spawned++
	e := &environment{number: p.stats.Spawned}
	err := e.start(p.function, p.logs, hooks{
		idle:       func() { p.idle(e) },
		dispatched: func() { p.dispatched(e) },
		delivered:  func() { p.thaw(e) },
		over:       func() { p.over(e) },
		expired:    func() { p.expired(e) },
	})
	if err != nil {
		p.stats.Crashed++
		p.logs.printf("environment %d: %v", e.number, err)
		return nil, fmt.Errorf("%w: %w", ErrInit, err)
	}
	p.all = append(p.all, e)
	p.watchers.Go(func() { p.watch(e) })
	return e, nil
}

// watch waits for the end of an environment, forgets it, and then lets the
// response that it had begun arrive.
func (p *pool) watch(e *environment) {
	p.forget(e, e.watch())
	_ = e.runtime.server.Shutdown(p.ctx)
	e.runtime.close(ErrExited)
}

func (p *pool) forget(e *environment, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.logs.printf("environment %d: %v", e.number, err)
	p.crashed(e)
	p.all = slices.DeleteFunc(p.all, func(other *environment) bool { return other == e })
	p.signal()
}

func (p *pool) idle(e *environment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !e.initialized {
		e.initialized = true
		p.stats.Init = append(p.stats.Init, time.Since(e.started))
	}
	if e.state == reserved || p.closed {
		return // its event is on the way
	}
	if i := slices.Index(p.all, e); i >= 0 {
		p.all = append(slices.Delete(p.all, i, i+1), e)
	}
	e.state = idle
	if p.function.Freeze {
		e.worker.freeze()
	}
	p.signal()
}

func (p *pool) dispatched(e *environment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.state = busy
	p.stats.Invocations++
}

func (p *pool) thaw(e *environment) {
	if p.function.Freeze {
		e.worker.thaw()
	}
}

// over may be called late: an environment that is idle by then stays idle.
func (p *pool) over(e *environment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.state != idle {
		e.state = settling
		p.signal()
	}
}

// failed ends an environment that did not take its event.
func (p *pool) failed(e *environment) {
	p.mu.Lock()
	p.crashed(e)
	e.state = settling
	p.signal()
	p.mu.Unlock()
	e.kill()
}

func (p *pool) expired(e *environment) {
	p.mu.Lock()
	p.stats.TimedOut++
	e.state, e.expected = settling, true
	p.logs.printf("environment %d: task timed out after %v", e.number, p.function.Timeout)
	p.mu.Unlock()
	e.kill()
}

// crashed counts an unexpected end, once. The lock must be held.
func (p *pool) crashed(e *environment) {
	if !e.expected {
		p.stats.Crashed++
	}
	e.expected = true
}

// signal wakes all waiters. The lock must be held.
func (p *pool) signal() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// close ends all environments and waits until they have.
func (p *pool) close() {
	p.cancel()
	p.mu.Lock()
	p.closed = true
	for _, e := range p.all {
		e.expected = e.expected || !e.hasEnded()
		go e.shutdown()
	}
	p.signal()
	p.mu.Unlock()
	p.watchers.Wait()
}

func (p *pool) snapshot() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	stats := p.stats
	stats.Init = slices.Clone(stats.Init)
	return stats
}

func (p *pool) pids() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	var pids []int
	for _, e := range p.all {
		pids = append(pids, e.worker.pid())
	}
	return pids
}
