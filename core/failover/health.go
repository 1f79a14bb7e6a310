package failover

import (
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// strikesOut is how many failures in a row make an upstream down.
	strikesOut = 3

	// An upstream that is down is left alone for backoffBase, the next time for
	// twice as long, up to backoffMost; each ± 20 %, so that many pools do not
	// come back at once.
	backoffBase = 2 * time.Second
	backoffMost = 60 * time.Second

	// refusedFor is how long an upstream is left alone whose region OpenAI does
	// not serve, and brokenFor one that only its operator can mend.
	refusedFor = 10 * time.Minute
	brokenFor  = 30 * time.Second
)

// A health is what is known of an upstream's health. It is safe for concurrent
// use.
type health struct {
	mu        sync.Mutex
	strikes   int           // failures in a row
	downs     int           // times down in a row
	until     time.Time     // down until then, and then until a trial succeeds; zero if up
	stubborn  bool          // a probe cannot tell when it is over
	trial     bool          // one request is trying it
	lastError string        // kept after it has come back, for people
	latency   time.Duration // moving average of connects and probes; 0 if unknown
	marked    bool          // a response had the marker of a relay
	relay     bool          // its health check was answered by a relay
	asked     time.Time     // when it was last asked whether it is one; zero: never
}

// A change is what an observation did to an upstream's health.
type change int

const (
	unchanged change = iota
	wentDown
	cameBack
)

// strike notes a failure that counts as weight ones. An upstream that is the
// last one up stays up: a request is better tried than refused on a guess.
func (h *health) strike(class string, weight int, last bool) change {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lastError = class
	h.strikes += weight
	switch {
	case h.until.IsZero() && (h.strikes < strikesOut || last):
		return unchanged
	case h.until.IsZero():
		h.goDown(backoffBase, backoffMost, false)
		return wentDown
	case !time.Now().Before(h.until):
		h.goDown(backoffBase, backoffMost, h.stubborn) // the trial failed
	}
	return unchanged
}

// eject notes a failure that will not go away by itself.
func (h *health) eject(class string, period time.Duration, stubborn, last bool) change {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lastError = class
	h.strikes++
	if last && h.until.IsZero() {
		return unchanged
	}
	was := h.until
	h.goDown(period, max(period, backoffMost), stubborn)
	if was.IsZero() {
		return wentDown
	}
	return unchanged
}

func (h *health) goDown(base, most time.Duration, stubborn bool) {
	h.downs++
	period := min(base*time.Duration(h.downs), most)
	period = time.Duration(float64(period) * (0.8 + 0.4*rand.Float64()))
	h.until, h.stubborn = time.Now().Add(period), stubborn
}

// success notes that the upstream did what it is for.
func (h *health) success() change {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.until
	h.strikes, h.downs, h.until, h.stubborn = 0, 0, time.Time{}, false
	if was.IsZero() {
		return unchanged
	}
	return cameBack
}

// probed notes that a probe found the upstream well.
func (h *health) probed() change {
	h.mu.Lock()
	stubborn := h.stubborn
	h.mu.Unlock()
	if stubborn {
		return unchanged
	}
	return h.success()
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

// startTrial reports whether the caller is the one to try the upstream. Whoever
// is ends the trial.
func (h *health) startTrial() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.trial {
		return false
	}
	h.trial = true
	return true
}

func (h *health) endTrial() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.trial = false
}

// ailing reports whether the upstream failed the last time, or is down.
func (h *health) ailing() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.strikes > 0 || !h.until.IsZero()
}

// out reports whether the upstream is down, or would be if it were not the last.
func (h *health) out() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.strikes >= strikesOut || !h.until.IsZero()
}

// hangs reports whether the upstream is out because it does not answer, so that
// trying it takes long.
func (h *health) hangs() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return (h.strikes >= strikesOut || !h.until.IsZero()) && (h.lastError == ClassTimeout || h.lastError == ClassUnresponsive)
}

// behind reports whether the last failure was one behind the relay, whose health
// alone would not tell that it is over.
func (h *health) behind() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.strikes == 0 {
		return false
	}
	switch h.lastError {
	case ClassRegionRefused, "upstream_connect", "upstream_reset", "all_regions_failed":
		return true
	}
	return false
}

// refused reports whether the upstream is down for being in a region that
// OpenAI does not serve.
func (h *health) refused() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lastError == ClassRegionRefused && !h.until.IsZero()
}

// measured takes a time that the upstream took to connect or to answer a probe
// into the moving average.
func (h *health) measured(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.latency == 0 {
		h.latency = d
		return
	}
	h.latency += (d - h.latency) * 3 / 10
}

// usual returns how long a connect takes on average; 0 if unknown.
func (h *health) usual() time.Duration {
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

// isMarked reports whether a response of the upstream had a relay's marker.
// That is enough to expect the marker on every response; what a relay says in
// other headers needs proof, see [Pool.knowsRelay].
func (h *health) isMarked() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.marked || h.relay
}

func (h *health) showedMarker() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.marked = true
}

// mayAsk reports whether it is time to ask an upstream whether it is a relay.
func (h *health) mayAsk() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.asked.IsZero() && time.Since(h.asked) < brokenFor {
		return false
	}
	h.asked = time.Now()
	return true
}

// saw notes the class of a failure that is not held against the upstream yet.
func (h *health) saw(class string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lastError = class
}
