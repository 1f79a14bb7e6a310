package failover

import (
	"sync/atomic"
	"time"
)

// A stall is what is known of an upstream that lets requests wait. One that is
// quiet for longer than usual may think, or hang: while little else happens there,
// only a health check over another connection tells. It is made then, at a time
// that follows from the request alone.
//
// A relay that runs as a program of its own responds to a health check at once,
// so that a hung one is found within a second. A function may have to be started
// for the check, and an API may be busy: they get as long as for two probes.
type stall struct {
	armed   atomic.Bool // a timer will look, or somebody looks
	doubted atomic.Bool // a check goes without a response for longer than it should

	// For whoever looks:
	oldest  int64         // when the request was sent that waits for longest, see now
	checked int64         // when the last check for it ended
	gap     time.Duration // from then, or from when it was sent, to the next
}

const (
	// A request waits for twice the longest recent silence before its upstream is
	// checked, but for minLook at least and for maxLook at most, or functionLook
	// where the check may start a function.
	minLook      = 250 * time.Millisecond
	maxLook      = 400 * time.Millisecond
	functionLook = time.Second

	// checkPause is how long a program may take for a health check until it is
	// checked once more, together with another upstream; and verdictPause how long
	// it has from then on, if that other one responds.
	checkPause   = 200 * time.Millisecond
	verdictPause = 250 * time.Millisecond
)

// watch has u looked after until no request waits for its response.
func (p *Pool) watch(u *upstream) {
	if p.probes() && !u.stall.armed.Swap(true) {
		time.AfterFunc(minLook, func() { p.look(u) })
	}
}

// look checks u if that is due, and looks again as long as requests wait.
func (p *Pool) look(u *upstream) {
	wait, awaited := p.nextCheck(u)
	if awaited && wait <= 0 && p.probes() {
		p.inquire(u)
		wait, awaited = p.nextCheck(u)
	}
	if !awaited || !p.probes() {
		u.stall.armed.Store(false)
		if u.isAwaited() {
			p.watch(u) // one came meanwhile
		}
		return
	}
	time.AfterFunc(max(wait, minLook/10), func() { p.look(u) })
}

// nextCheck returns in what time u is due for a check, and whether requests wait
// for its response. The same request makes the next check due when it has waited
// for twice as long.
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
	return w.gap - min(u.silence.silentFor(), time.Duration(now()-w.checked)), true
}

// inquire finds out whether u, which is silent, hangs. If so, it is down and the
// requests that wait for it end.
func (p *Pool) inquire(u *upstream) {
	w := &u.stall
	defer func() {
		w.doubted.Store(false)
		w.checked = now()
		w.gap = min(time.Duration(w.checked-w.oldest), p.opts.ProbeInterval)
	}()
	if u.isServer.Load() {
		switch p.compare(u) {
		case isWell:
			return
		case hangs:
			p.strike(u, ClassUnresponsive, maxStrikes)
			p.endSilent(u, checkPause+verdictPause)
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

// A condition is what a comparison finds.
type condition int

const (
	unclear condition = iota
	isWell
	hangs
)

// compare checks u and, if it does not respond at once, once more beside another
// upstream. u hangs if it does not respond in twice the time that this one takes:
// then it is neither this machine nor its network that is slow. Two checks are two connections, of which
// one may have lost a packet.
func (p *Pool) compare(u *upstream) condition {
	first := p.checking(u)
	timer := time.NewTimer(checkPause)
	defer timer.Stop()
	select {
	case err := <-first:
		return found(err)
	case <-timer.C:
	}
	u.stall.doubted.Store(true)
	other := p.another(u)
	if other == nil {
		return unclear
	}
	begun := time.Now()
	second, control := p.checking(u), p.checking(other)
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
			timer.Reset(max(verdictPause-took, took)) // as long again, on a busy machine
		case <-timer.C:
			return hangs
		}
	}
}

// found returns what a check that has ended shows.
func found(err error) condition {
	if err == nil {
		return isWell
	}
	return unclear
}

// checking checks u and sends the result.
func (p *Pool) checking(u *upstream) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := p.examine(p.running, u, false)
		done <- err
	}()
	return done
}

// another returns an upstream to compare u with, or nil.
func (p *Pool) another(u *upstream) *upstream {
	for _, other := range p.list() {
		if down, _ := other.health.down(); other != u && !down {
			return other
		}
	}
	return nil
}

// oldest returns when the request was sent that waits for u's response for
// longest, or 0 if none does.
func (u *upstream) oldest() (sentAt int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for a := range u.inFlight {
		if !a.answered.Load() && (sentAt == 0 || a.sentAt < sentAt) {
			sentAt = a.sentAt
		}
	}
	return sentAt
}
