package failover

import (
	"math"
	"sync/atomic"
	"time"
)

// A silence notices that an upstream has gone dead behind connections that
// stand: requests are written, and nothing comes back on any connection for
// longer than it ever did of late. TCP tells after 20 seconds, and never if
// something in between answers for the dead. A suspicion harms nobody: the
// upstream is tried over a new connection before it gets more requests.
//
// The idea is that of accrual failure detectors (Hayashibara et al., 2004): what
// silence means depends on how the upstream used to talk.
type silence struct {
	waiting atomic.Int64 // requests written, their answers not begun
	last    atomic.Int64 // when something was heard, or waiting began; see now
	usual   atomic.Int64 // longest silence of late, decaying; 0 if unknown
	samples atomic.Int64 // how many silences were measured

	// sent is how many requests were written since something was heard.
	sent atomic.Int64
}

const (
	// minSilence is the shortest that is ever suspicious: machines stutter.
	minSilence = 30 * time.Millisecond
	// minSamples is how much must have been heard before silence says anything.
	minSamples = 32
	// forgets is the time in which the longest silence is half forgotten.
	forgets = 5 * time.Second

	// A request is overdue to be acknowledged by the upstream's TCP after two
	// round trips and doubtAfter, and suspicious after suspectAfter on top:
	// systems delay acknowledgements by up to 40 ms (RFC 1122, section 4.2.3.2).
	doubtAfter    = 3 * time.Millisecond
	suspectAfter  = 50 * time.Millisecond
	doubtInterval = 2 * time.Millisecond
	// quietTimeout is how long a request waits for an upstream that says little.
	quietTimeout = 25 * time.Millisecond
)

// A doubt is what speaks against sending an upstream more requests now.
type doubt int

const (
	noDoubt doubt = iota
	quiet         // it says little: wait a little
	overdue       // TCP waits for it: wait until it is clear
	suspect       // it may be dead: try it first
)

// doubt returns what speaks against sending u another request. TCP tells of a
// peer that is gone long before it gives a connection up; what answers for the
// dead, or a machine that hangs, only the silence tells of.
func (u *upstream) doubt() doubt {
	if u.silence.suspicious() {
		return suspect
	}
	if u.silence.sent.Load() == 0 || u.silence.silentFor() < doubtAfter {
		return noDoubt
	}
	worst := noDoubt
	if u.silence.unusual() {
		worst = quiet
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for a := range u.inFlight {
		worst = max(worst, a.doubt())
	}
	return worst
}

// doubt returns what the attempt's connection tells.
func (a *attempt) doubt() doubt {
	if a.answered.Load() || a.conn.socket == nil || a.sentAt < a.u.silence.last.Load() {
		return noDoubt
	}
	age := time.Duration(now() - a.sentAt)
	if age < doubtAfter {
		return noDoubt
	}
	unacknowledged, roundTrip := a.conn.socket.unacknowledged()
	switch age -= 2 * roundTrip; {
	case !unacknowledged || age < doubtAfter:
		return noDoubt
	case age < suspectAfter:
		return overdue
	}
	return suspect
}

// epoch is what now counts from.
var epoch = time.Now()

// now returns the monotonic time in nanoseconds.
func now() int64 { return int64(time.Since(epoch)) }

// hear notes that bytes came. Only silence while somebody waits for an answer is
// measured.
func (s *silence) hear() {
	t := now()
	before := s.last.Swap(t)
	if s.waiting.Load() == 0 {
		return
	}
	s.sent.Store(0)
	s.samples.Add(1)
	gap := t - before
	usual := s.usual.Load()
	faded := usual - int64(math.Ln2*float64(usual)*float64(gap)/float64(forgets))
	s.usual.Store(max(gap, faded)) // of two at a time one may be lost, which the next mends
}

// wait notes that a request is being written.
func (s *silence) wait() {
	if s.waiting.Add(1) == 1 {
		s.last.Store(now()) // the quiet before it was nobody's
		s.sent.Store(0)
	}
	s.sent.Add(1)
}

// answered notes that an answer has begun, or will not.
func (s *silence) answered() { s.waiting.Add(-1) }

// unusual reports whether the upstream is silent for a good part of the longest
// silence of late, while several requests are waiting.
func (s *silence) unusual() bool {
	return s.waiting.Load() > 0 && s.sent.Load() >= 2 && s.samples.Load() >= minSamples && int64(s.silentFor()) > s.usual.Load()/2
}

// suspicious reports whether the upstream is silent for longer than it used to
// be while several requests are waiting.
func (s *silence) suspicious() bool {
	if s.waiting.Load() == 0 || s.sent.Load() < 2 || s.samples.Load() < minSamples {
		return false
	}
	limit := max(minSilence, time.Duration(s.usual.Load())*3/2)
	return s.silentFor() > limit
}

// silentFor returns how long nothing was heard.
func (s *silence) silentFor() time.Duration { return time.Duration(now() - s.last.Load()) }
