package failover

import (
	"math"
	"sync/atomic"
	"time"

	"example.com/relay/core/failover/internal/conn"
)

// A silence detects that an upstream is dead although its connections are
// established: requests are written, and nothing is read on any connection for
// longer than was usual lately. TCP takes 20 seconds to notice, and never does if
// something in between acknowledges for the dead. A suspicion does no harm: the
// upstream is tried over a new connection before it gets more requests.
//
// The idea is that of accrual failure detectors (Hayashibara et al., 2004): how
// long a silence is suspicious depends on how the upstream usually responds. It
// is safe for concurrent use.
type silence struct {
	waiting atomic.Int64 // requests written whose responses have not begun
	last    atomic.Int64 // when bytes were last read, or waiting began; see now
	usual   atomic.Int64 // longest recent silence, decaying; 0 if unknown
	samples atomic.Int64 // how many silences were measured
	sent    atomic.Int64 // requests written since bytes were last read
}

const (
	// minSilence is the shortest that is ever suspicious: machines stutter.
	minSilence = 30 * time.Millisecond
	// minSamples is how many silences must be measured before one is suspicious.
	minSamples = 32
	// halfLife is the time in which the longest silence loses half its weight.
	halfLife = 5 * time.Second

	// A request's acknowledgement by the upstream's TCP is overdue after two round
	// trips and doubtAfter, and suspicious after suspectAfter more: systems delay
	// acknowledgements by up to 40 ms (RFC 1122, section 4.2.3.2).
	doubtAfter   = 3 * time.Millisecond
	suspectAfter = 50 * time.Millisecond
	// doubtInterval is the time between two looks at an upstream in doubt, and
	// quietTimeout how long a request waits for one that is unusually quiet.
	doubtInterval = 2 * time.Millisecond
	quietTimeout  = 25 * time.Millisecond
)

// A doubt is what speaks against sending an upstream more requests now.
type doubt int

const (
	noDoubt doubt = iota
	quiet         // unusually quiet: wait a little
	overdue       // its TCP is late to acknowledge: wait until that is clear
	suspect       // it may be dead: put it on trial
)

// doubt returns what speaks against sending u another request. TCP shows that a
// peer is gone long before it gives the connection up. Where something
// acknowledges for the dead, and where a machine hangs, only silence does.
func (u *upstream) doubt() doubt {
	if u.silence.suspicious() || u.stall.doubted.Load() {
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
	if a.answered.Load() || a.sentAt < a.u.silence.last.Load() {
		return noDoubt
	}
	age := time.Duration(now() - a.sentAt)
	if age < doubtAfter {
		return noDoubt
	}
	return doubtOf(age, a.conn.Acknowledged())
}

// doubtOf returns what the acknowledgements tell of a request that was sent so long ago.
// While a large body is being sent, some of it is always unacknowledged, but
// acknowledgements arrive.
func doubtOf(age time.Duration, ack conn.Ack) doubt {
	if !ack.Due {
		return noDoubt
	}
	switch late := min(age, ack.Last) - 2*ack.RoundTrip; {
	case late < doubtAfter:
		return noDoubt
	case late < suspectAfter:
		return overdue
	}
	return suspect
}

// epoch is what now counts from.
var epoch = time.Now()

// now returns the monotonic time in nanoseconds.
func now() int64 { return int64(time.Since(epoch)) }

// hear notes that bytes were read. Only silence while a response is awaited is
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
	faded := usual - int64(math.Ln2*float64(usual)*float64(gap)/float64(halfLife))
	s.usual.Store(max(gap, faded)) // one of two concurrent updates may be lost; the next one makes up for it
}

// wait notes that a request is being written.
func (s *silence) wait() {
	if s.waiting.Add(1) == 1 {
		s.last.Store(now()) // until now nothing was awaited
		s.sent.Store(0)
	}
	s.sent.Add(1)
}

// answered notes that a response has begun, or will not.
func (s *silence) answered() { s.waiting.Add(-1) }

// isMeasured reports whether several requests wait and enough silences were measured
// to judge this one.
func (s *silence) isMeasured() bool {
	return s.waiting.Load() > 0 && s.sent.Load() >= 2 && s.samples.Load() >= minSamples
}

// unusual reports whether the upstream has been silent for half of the longest
// recent silence, while several requests wait.
func (s *silence) unusual() bool {
	return s.isMeasured() && int64(s.silentFor()) > s.usual.Load()/2
}

// suspicious reports whether the upstream has been silent for longer than is
// usual, while several requests wait.
func (s *silence) suspicious() bool {
	if !s.isMeasured() {
		return false
	}
	limit := max(minSilence, time.Duration(s.usual.Load())*3/2)
	return s.silentFor() > limit
}

// usually returns the longest recent silence; 0 if unknown.
func (s *silence) usually() time.Duration { return time.Duration(s.usual.Load()) }

// silentFor returns how long nothing was read.
func (s *silence) silentFor() time.Duration { return time.Duration(now() - s.last.Load()) }
