package failover

import (
	"cmp"
	"net/http"
	"slices"
	"sync"
	"time"

	"example.com/relay/core/internal/replay"
	"example.com/relay/core/protocol"
)

const (
	// sizesKnown is how long a learned size is valid: a relay may be deployed anew with
	// another limit.
	sizesKnown = 5 * time.Minute

	// lookAheadFor is how long a body of unknown length may take to show that it is
	// short.
	lookAheadFor = 100 * time.Millisecond
)

// lookAhead is lookAheadFor, which tests lengthen.
var lookAhead = lookAheadFor

// A sizes is what is known of the body sizes that an upstream accepts. It is safe for
// concurrent use.
type sizes struct {
	mu       sync.Mutex
	limit    size // from the relay's health check
	refused  size // of the shortest body that the upstream, or its platform, refused
	accepted size // of the largest body that it accepted
}

// A size is a number of bytes and when it was learned. The zero value is unknown.
type size struct {
	bytes int64
	at    time.Time
}

// known returns the size, or 0 if it is unknown or older than sizesKnown.
func (s size) known() int64 {
	if time.Since(s.at) >= sizesKnown {
		return 0
	}
	return s.bytes
}

// A fit is whether an upstream accepts a body.
type fit int

const (
	fits     fit = iota // the upstream accepted one of that length
	mayFit              // nothing is known against it, but its platform may refuse it
	mayNot              // it refused one of that length
	tooLarge            // the relay would refuse it
)

// set records the limit in bytes from a relay's health check, or 0 if it named none.
func (s *sizes) set(limit int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = size{limit, time.Now()}
}

// accept records that the upstream accepted a body of that length.
func (s *sizes) accept(length int64) {
	if length <= replay.MaxBytes {
		return // fit is not called for short ones
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepted = size{max(length, s.accepted.known()), time.Now()}
}

// refuse records that the upstream refused a body of that length. Short ones are
// ignored: a firewall may have refused them for their content.
func (s *sizes) refuse(length int64) {
	if length <= replay.MaxBytes {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = size{min(length, cmp.Or(s.refused.known(), length)), time.Now()}
	if s.accepted.bytes >= length {
		s.accepted = size{}
	}
}

// fit returns whether a body of that length fits; -1 is a large one of unknown
// length.
func (s *sizes) fit(length int64) fit {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit, refused := s.limit.known(), s.refused.known()
	switch {
	case limit > 0 && length > limit:
		return tooLarge
	case refused > 0 && length >= refused:
		return mayNot
	case length >= 0 && length <= s.accepted.known():
		return fits
	}
	return mayFit
}

// max returns the length of the largest body that the upstream may accept, or 0 if
// nothing is known.
func (s *sizes) max() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit, refused := s.limit.known(), s.refused.known()
	if refused > 0 && (limit == 0 || refused <= limit) {
		return refused - 1
	}
	return limit
}

// chooseBySize drops the candidates for which the body is too large, and moves those
// that refused one of its length to the end. It marks those to ask before a large body
// is sent: all that have not accepted one of its length. For a large body of unknown
// length, the candidates with the largest limits come first.
func (c *call) chooseBySize() {
	length := c.length()
	if length >= 0 && length <= replay.MaxBytes && !c.mayBeTooLarge(length) {
		return
	}
	candidates := c.queue.candidates[:0]
	for _, cand := range c.queue.candidates {
		cand.fit = cand.sizes.fit(length)
		if cand.fit == tooLarge {
			c.note(cand, protocol.BodyTooLarge, nil)
			continue
		}
		cand.askFirst = cand.fit != fits && !cand.official &&
			(length < 0 || length > replay.MaxBytes) && c.req.Header["Expect"] == nil
		candidates = append(candidates, cand)
	}
	c.queue.candidates = candidates
	if length < 0 {
		slices.SortStableFunc(candidates, compareMax)
		return
	}
	slices.SortStableFunc(candidates, func(a, b *candidate) int {
		return cmp.Compare(max(a.fit, mayFit), max(b.fit, mayFit))
	})
}

// mayBeTooLarge reports whether any candidate's limit is below length.
func (c *call) mayBeTooLarge(length int64) bool {
	return slices.ContainsFunc(c.queue.candidates, func(cand *candidate) bool {
		return cand.sizes.fit(length) == tooLarge
	})
}

// usualMax is the length of the largest body that an upstream is assumed to accept if
// nothing is known of it.
const usualMax = 32 << 20

// compareMax compares candidates by the size of the bodies that they accept, the
// largest first. Those that are down are last.
func compareMax(a, b *candidate) int {
	key := func(cand *candidate) int64 {
		if down, _ := cand.health.down(); down {
			return 0
		}
		return cmp.Or(cand.sizes.max(), usualMax)
	}
	return cmp.Compare(key(b), key(a))
}

// length returns the length of the request's body, or -1 for a large one of unknown
// length. It reads ahead only if that matters: if the limits of candidates differ, or
// one is unknown. A client that waits for a 100 (Continue) is not made to send.
func (c *call) length() int64 {
	if c.req.ContentLength > 0 {
		return c.req.ContentLength
	}
	if c.size >= 0 {
		return c.size
	}
	if c.takeTheSame() || c.req.Header["Expect"] != nil {
		return 0
	}
	body, ok := c.first.(interface {
		Ahead(size int, patience time.Duration) (kept int, whole bool)
	})
	if !ok {
		return -1
	}
	kept, whole := body.Ahead(replay.MaxBytes+1, lookAhead)
	if whole {
		return int64(kept)
	}
	c.learnSizes()
	return -1
}

// learnSizes checks the relays whose limits are unknown, as often as mayAsk allows. A
// relay finds out that a body of unknown length is too large only while it reads it,
// and then the body cannot be sent to another.
func (c *call) learnSizes() {
	var wait sync.WaitGroup
	for _, cand := range c.queue.candidates {
		down, _ := cand.health.down()
		if down || cand.official || cand.sizes.max() > 0 || !cand.health.mayAsk() {
			continue
		}
		wait.Go(func() { _, _ = c.pool.examine(c.req.Context(), cand.upstream, false) })
	}
	wait.Wait()
}

// takeTheSame reports whether all candidates are known to accept bodies up to the same
// size.
func (c *call) takeTheSame() bool {
	first := c.queue.candidates[0].sizes.max()
	return first > 0 && !slices.ContainsFunc(c.queue.candidates, func(cand *candidate) bool {
		return cand.sizes.max() != first
	})
}

// askingFirst returns a copy of h that expects a 100 (Continue): the upstream may
// refuse the body before any of it is sent, so that another one can get it.
func askingFirst(h http.Header) http.Header {
	out := make(http.Header, len(h)+1)
	for name, values := range h {
		out[name] = values
	}
	out["Expect"] = []string{"100-continue"}
	return out
}
