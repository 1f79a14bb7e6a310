package failover

import (
	"math/rand/v2"
	"sync"
	"time"

	"example.com/relay/core/protocol"
)

const (
	// maxStrikes is how many failures in a row take an upstream down.
	maxStrikes = 3

	// An upstream that is down is left alone for minBackoff, the next time for
	// twice as long, up to maxBackoff; each ± 20 %, so that many pools do not
	// return at once.
	minBackoff = 2 * time.Second
	maxBackoff = 60 * time.Second

	// refusedPeriod is how long an upstream is left alone whose region OpenAI does
	// not serve, and brokenPeriod one that only its operator can fix.
	refusedPeriod = 10 * time.Minute
	brokenPeriod  = 30 * time.Second
)

// A health is what is known of an upstream's health. It is safe for concurrent
// use.
type health struct {
	mu           sync.Mutex    // guards all fields
	strikes      int           // failures in a row
	downs        int           // times down in a row
	until        time.Time     // down until then, and on until a trial succeeds; zero if up
	needsTraffic bool          // only a request can tell when it is over, not a probe
	onTrial      bool          // one request is trying it
	lastError    string        // class; kept after recovery, for people
	errorAt      time.Time     // when lastError was noted
	checkedAt    time.Time     // newest observation, good or bad; zero: none
	latency      time.Duration // moving average of connects and probes; 0 if unknown

	marked bool      // a response had the marker of a relay
	relay  bool      // a health check was answered by a relay
	asked  time.Time // when it was last asked whether it is one; zero: never
}

// A change is what an observation did to an upstream's health.
type change int

const (
	unchanged change = iota
	wentDown
	cameBack
)

// strike counts weight failures. An upstream that is the last one up stays up: a
// request is better tried than refused on a guess.
func (h *health) strike(class string, weight int, last bool) change {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.note(class)
	h.strikes += weight
	switch {
	case h.until.IsZero() && (h.strikes < maxStrikes || last):
		return unchanged
	case h.until.IsZero():
		h.goDown(minBackoff, maxBackoff, false)
		return wentDown
	case !time.Now().Before(h.until):
		h.goDown(minBackoff, maxBackoff, h.needsTraffic) // the trial failed
	}
	return unchanged
}

// eject takes the upstream down for a failure that will not pass by itself.
func (h *health) eject(class string, period time.Duration, needsTraffic, last bool) change {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.note(class)
	h.strikes++
	if last && h.until.IsZero() {
		return unchanged
	}
	wasUp := h.until.IsZero()
	h.goDown(period, max(period, maxBackoff), needsTraffic)
	if wasUp {
		return wentDown
	}
	return unchanged
}

// goDown is called with mu held.
func (h *health) goDown(base, limit time.Duration, needsTraffic bool) {
	h.downs++
	period := min(base*time.Duration(h.downs), limit)
	period = time.Duration(float64(period) * (0.8 + 0.4*rand.Float64()))
	h.until, h.needsTraffic = time.Now().Add(period), needsTraffic
}

// success notes that the upstream did what it is for.
func (h *health) success() change {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checkedAt = time.Now()
	wasUp := h.until.IsZero()
	h.strikes, h.downs, h.until, h.needsTraffic = 0, 0, time.Time{}, false
	if wasUp {
		return unchanged
	}
	return cameBack
}

// probed notes that a probe found the upstream well.
func (h *health) probed() change {
	h.mu.Lock()
	h.checkedAt = time.Now()
	needsTraffic := h.needsTraffic
	h.mu.Unlock()
	if needsTraffic {
		return unchanged
	}
	return h.success()
}

// noteError records the class of a failure that is not held against the
// upstream, or not yet.
func (h *health) noteError(class string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.note(class)
}

// note is called with mu held.
func (h *health) note(class string) {
	h.checkedAt = time.Now()
	h.lastError, h.errorAt = class, h.checkedAt
}

// down reports whether the upstream is down, and for how long it is to be left
// alone.
func (h *health) down() (down bool, left time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.until.IsZero() {
		return false, 0
	}
	return true, max(0, time.Until(h.until))
}

// startTrial reports whether the caller may try the upstream. If so, it must
// call endTrial.
func (h *health) startTrial() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.onTrial {
		return false
	}
	h.onTrial = true
	return true
}

func (h *health) endTrial() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.onTrial = false
}

// failing reports whether the upstream failed the last time, or is down.
func (h *health) failing() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.strikes > 0 || !h.until.IsZero()
}

// ejected reports whether the upstream is down, or would be if it were not the
// last one up.
func (h *health) ejected() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.isEjected()
}

// isEjected is ejected with mu held.
func (h *health) isEjected() bool { return h.strikes >= maxStrikes || !h.until.IsZero() }

// unresponsive reports whether the upstream is ejected for not responding, so
// that trying it takes long.
func (h *health) unresponsive() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.isEjected() && (h.lastError == ClassTimeout || h.lastError == ClassUnresponsive)
}

// apiFault reports whether the last failure was between the upstream relay and
// the API, which a shallow health check cannot see.
func (h *health) apiFault() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.strikes > 0 &&
		(h.lastError == ClassRegionRefused || protocol.Meanings[h.lastError].Fault == protocol.API)
}

// refused reports whether the upstream is down for being in a region that
// OpenAI does not serve.
func (h *health) refused() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lastError == ClassRegionRefused && !h.until.IsZero()
}

// measured adds a time that the upstream took to connect or to answer a probe to
// the moving average.
func (h *health) measured(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.latency == 0 {
		h.latency = d
		return
	}
	h.latency += (d - h.latency) * 3 / 10
}

// avgConnect returns how long a connect takes on average; 0 if unknown.
func (h *health) avgConnect() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.latency
}

// lastClass returns the class of the last failure.
func (h *health) lastClass() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lastError
}

// isRelay reports whether the upstream has answered a health check as a relay.
func (h *health) isRelay() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.relay
}

func (h *health) provedRelay() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.relay = true
}

// isMarked reports whether a response of the upstream had a relay's marker. That
// is enough to expect the marker on every response; what a relay says in other
// headers needs proof, see [Pool.knowsRelay].
func (h *health) isMarked() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.marked || h.relay
}

// showedMarker notes that, and reports whether it is news, also after health checks.
func (h *health) showedMarker() (news bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	news = !h.marked && !h.relay
	h.marked = true
	return news
}

// mayAsk reports whether it is time to ask an upstream whether it is a relay.
func (h *health) mayAsk() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.asked.IsZero() && time.Since(h.asked) < brokenPeriod {
		return false
	}
	h.asked = time.Now()
	return true
}
