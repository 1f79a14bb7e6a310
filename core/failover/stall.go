package failover

import (
	"slices"
	"sync/atomic"
	"time"
)

// A stall is the state of the checks of an upstream whose requests wait for their
// responses. An upstream that is silent for longer than usual may be working or hang;
// with little traffic, only a health check over another connection can tell. The time
// of that check depends on the waiting request alone.
//
// A relay that runs as relay serve responds to a health check at once, so one that
// hangs is detected within a second. A function may have to be started for the check,
// and an API may be busy: they get the time of two probes.
type stall struct {
	armed   atomic.Bool // a timer is set, or look is running
	doubted atomic.Bool // a check has had no response for longer than it should take

	// Used by look alone, of which at most one runs for an upstream.
	oldest  int64         // when the longest waiting request was sent, see now
	checked int64         // when the last check because of it ended, or oldest
	gap     time.Duration // from checked to the next check
}

const (
	// A request waits for twice the longest recent silence before its upstream is
	// checked, but at least minLook and at most maxLook, or functionLook if the check
	// may start a function.
	minLook      = 250 * time.Millisecond
	maxLook      = 400 * time.Millisecond
	functionLook = time.Second

	// checkPause is the time that relay serve has for a health check before it is
	// checked again, together with the others. verdictPause is the time that it has
	// from then on, if another one responds.
	checkPause   = 200 * time.Millisecond
	verdictPause = 250 * time.Millisecond
)

// watch starts checks of u for as long as requests wait for its response.
func (p *Pool) watch(u *upstream) {
	if p.probes() && !u.stall.armed.Swap(true) {
		time.AfterFunc(minLook, func() { p.look(u) })
	}
}

// lookNow checks u at once, unless a check is set or running.
func (p *Pool) lookNow(u *upstream) {
	if !u.stall.armed.Swap(true) {
		go func() {
			p.inquire(u)
			p.look(u)
		}()
	}
}

// look checks u if that is due, and schedules itself for as long as requests wait.
func (p *Pool) look(u *upstream) {
	wait, awaited := p.nextCheck(u)
	if awaited && wait <= 0 && p.probes() {
		p.inquire(u)
		wait, awaited = p.nextCheck(u)
	}
	if !awaited || !p.probes() {
		u.stall.armed.Store(false)
		if u.isAwaited() {
			p.watch(u) // a request arrived meanwhile
		}
		return
	}
	time.AfterFunc(max(wait, minLook/10), func() { p.look(u) })
}

// nextCheck returns after how long a check of u is due, and whether requests wait for
// its response. For the same request, each check is due when it has waited for twice
// as long as before.
func (p *Pool) nextCheck(u *upstream) (wait time.Duration, awaited bool) {
	oldest := u.oldest()
	if oldest == 0 {
		return 0, false
	}
	w := &u.stall
	if oldest != w.oldest {
		most := functionLook
		if u.isServer.Load() {
			most = maxLook
		}
		w.oldest, w.checked = oldest, oldest
		w.gap = min(max(2*u.silence.usually(), minLook), most)
	}
	return w.gap - min(u.unheardFor(), time.Duration(now()-w.checked)), true
}

// inquire checks whether u, which is silent, hangs. If so, it takes u down and ends the
// requests that wait for it.
func (p *Pool) inquire(u *upstream) {
	w := &u.stall
	defer func() {
		w.doubted.Store(false)
		w.checked = now()
		w.gap = min(time.Duration(w.checked-w.oldest), p.opts.ProbeInterval)
	}()
	if u.isServer.Load() {
		begun := now()
		switch p.compare(u) {
		case isWell:
			return
		case hangs:
			p.strike(u, ClassUnresponsive, maxStrikes)
			p.endSilent(u, time.Duration(now()-begun))
			return
		}
	}
	for range 2 {
		class, err := p.examine(p.running, u, false)
		if err == nil || p.running.Err() != nil {
			return
		}
		w.doubted.Store(true)
		p.strike(u, class, maxStrikes-1)
	}
	p.endLost(u)
}

// A condition is the result of a comparison.
type condition int

const (
	unclear condition = iota
	isWell
	hangs
)

// compare checks u and, if it does not respond at once, checks it again together with
// the other upstreams. u hangs if it does not respond within twice the time of the
// first of them, nor within twice its own usual time: then neither this machine nor its
// network is slow, and u is not far away. It is checked over two connections, since one
// may have lost a packet.
func (p *Pool) compare(u *upstream) condition {
	usual := 2 * u.health.avgConnect()
	if usual > probeTimeout-checkPause {
		return unclear
	}
	usual = min(usual, (probeTimeout-checkPause)/2) // since a check ends with probeTimeout
	first := p.checking(u)
	timer := time.NewTimer(max(checkPause, usual))
	defer timer.Stop()
	select {
	case err := <-first:
		return found(err)
	case <-timer.C:
	}
	u.stall.doubted.Store(true)
	others := p.others(u)
	if len(others) == 0 {
		return unclear
	}
	begun := time.Now()
	second, control := p.checking(u), p.checking(others...)
	for {
		select {
		case err := <-first:
			return found(err)
		case err := <-second:
			return found(err)
		case err := <-control:
			if control = nil; err != nil {
				return unclear
			}
			took := time.Since(begun)
			timer.Reset(max(verdictPause-took, usual-took, took)) // longer on a busy machine
		case <-timer.C:
			return hangs
		}
	}
}

// found returns the condition that a completed check shows.
func found(err error) condition {
	if err == nil {
		return isWell
	}
	return unclear
}

// checking starts a check of each upstream and returns a channel that gets the result
// of the first that is well or, if none is, of the last.
func (p *Pool) checking(list ...*upstream) <-chan error {
	done := make(chan error, 1)
	var left atomic.Int32
	left.Store(int32(len(list)))
	for _, u := range list {
		go func() {
			_, err := p.examine(p.running, u, false)
			if left.Add(-1) == 0 || err == nil {
				select {
				case done <- err:
				default: // another was first
				}
			}
		}()
	}
	return done
}

// others returns the upstreams to compare u with.
func (p *Pool) others(u *upstream) []*upstream {
	return slices.DeleteFunc(slices.Clone(p.list()), func(other *upstream) bool {
		down, _ := other.health.down()
		return other == u || down
	})
}

// oldest returns when the request that has waited longest for u's response was sent,
// or 0 if none waits.
func (u *upstream) oldest() (sentAt int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for a := range u.inFlight {
		if a.isAwaited() && (sentAt == 0 || a.sentAt < sentAt) {
			sentAt = a.sentAt
		}
	}
	return sentAt
}
