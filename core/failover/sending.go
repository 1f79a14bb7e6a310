package failover

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"example.com/relay/core/internal/replay"
)

// A sending is one request on its way through the pool.
type sending struct {
	pool  *Pool
	req   *http.Request
	begun time.Time
	again func() (io.ReadCloser, error) // another body, or nil if there is none
	fresh io.ReadCloser                 // the body for the first sending, or nil
	kept  *replay.Body                  // what both read, or nil if the request brought its own copies

	body *watched // the present one

	queue     []*candidate // that were not tried yet
	one       [1]*candidate
	only      candidate // where there is no choice
	left      int       // how many of them may be
	race      *race     // nil until connects were needed
	result    Result
	failures  []Failure
	resent    bool
	resumable bool           // the answer may go on through another upstream
	best      *http.Response // an answer that explains itself, if nobody has a better one
}

func (p *Pool) newSending(req *http.Request) *sending {
	list := p.list()
	s := &sending{pool: p, req: req, begun: time.Now(), left: min(len(list), mostAttempts)}
	if s.result.Several = len(list) > 1; s.result.Several {
		s.queue = p.order(list)
	} else {
		s.only.upstream = list[0]
		s.queue = append(s.one[:0], &s.only)
	}
	p.budget.request()
	if req.Body == nil || req.Body == http.NoBody {
		return s
	}
	s.fresh, s.again = req.Body, req.GetBody
	if s.again == nil {
		s.kept = replay.New(req.Body, req.ContentLength)
		s.fresh, s.again = s.kept.Open(), s.kept.Reopen
	}
	if p.opts.ResumeResponses && mayResume(req) {
		s.readAhead()
	}
	return s
}

// send sends the request to one candidate after the other, until one answers
// for good.
func (s *sending) send() (*http.Response, error) {
	for {
		c, conn, err := s.connection()
		if err != nil {
			return s.lastWord(err)
		}
		res, done, err := s.attempt(c, conn)
		if done {
			return res, err
		}
	}
}

// lastWord returns what there is to say when nobody is left: the best answer,
// or err.
func (s *sending) lastWord(err error) (*http.Response, error) {
	if s.best == nil || s.req.Context().Err() != nil {
		return nil, err
	}
	res := s.best
	s.best = nil
	return res, nil
}

// attempt sends the request over conn. It reports whether that was the last
// word.
func (s *sending) attempt(c *candidate, conn *conn) (_ *http.Response, done bool, _ error) {
	body, err := s.open()
	if err != nil {
		conn.release()
		if len(s.failures) > 0 && errors.Is(err, replay.ErrTooLarge) {
			return s.giveUp(&Error{Ambiguous: s.resent, Failures: s.failures})
		}
		return nil, true, err
	}
	s.result.Upstream, s.result.Base = c.name, c.base
	a := &attempt{pool: s.pool, u: c.upstream, conn: conn}
	s.body = watch(body, s.req.ContentLength)
	res, err := a.roundTrip(s.outbound(c.upstream, s.body))
	if err != nil {
		return s.failed(c, a, err)
	}
	return s.judged(c, res)
}

// open returns the body to send.
func (s *sending) open() (io.ReadCloser, error) {
	if body := s.fresh; body != nil {
		s.fresh = nil
		return body, nil
	}
	if s.again == nil {
		return nil, nil
	}
	return s.again()
}

// outbound returns the request for u.
func (s *sending) outbound(u *upstream, body *watched) *http.Request {
	out := *s.req
	out.URL, out.Host, out.Header = u.url(s.req.URL), u.base.Host, u.header(s.req.Header)
	out.Body, out.GetBody = nil, nil // nobody but this package sends again
	if body != nil {
		out.Body = body
	}
	return &out
}

// failed says what follows when an attempt got no answer.
func (s *sending) failed(c *candidate, a *attempt, err error) (*http.Response, bool, error) {
	ctx := s.req.Context()
	if ctx.Err() != nil {
		return nil, true, context.Cause(ctx)
	}
	if bodyErr := s.body.failure(); bodyErr != nil {
		return nil, true, bodyErr // nobody's fault but the client's
	}
	if !a.processed(err) {
		// Dead when it was taken, or refused unprocessed: so says the connection,
		// not the upstream.
		if c.again < 1 {
			c.again++
			c.fresh = true
			s.queue = append([]*candidate{c}, s.queue...)
			s.left++
			s.result.Attempts--
			return nil, false, nil
		}
		s.note(c, ClassReset, err)
		s.pool.strike(c.upstream, ClassReset, 1)
		return nil, false, nil
	}
	class := ClassReset
	if errors.Is(a.cause(), errUnresponsive) {
		class = ClassUnresponsive
	} else {
		s.pool.strike(c.upstream, class, 1)
	}
	s.note(c, class, err)
	s.keep(nil, false) // whoever said that nobody processed it spoke too early
	return s.ambiguous()
}

// judged says what follows from an answer.
func (s *sending) judged(c *candidate, res *http.Response) (*http.Response, bool, error) {
	p, u := s.pool, c.upstream
	if res.Header.Get(markerHeader) != "" {
		u.health.showedMarker()
	}
	if !p.Several() {
		return res, true, nil
	}
	v := judge(u, res)
	switch v.penalty {
	case credit:
		p.noteChange(u, u.health.success())
	case strikeIt:
		p.strike(u, v.class, 1)
	case ejectIt:
		p.eject(u, v.class, brokenFor, v.class == "invalid_access_token")
	case banIt:
		p.eject(u, v.class, refusedFor, false)
	}
	switch v.outcome {
	case handOn:
		return res, true, nil
	case ambiguous:
		s.note(c, v.class, nil)
		s.keep(res, v.own)
		return s.ambiguous()
	}
	s.note(c, v.class, nil)
	s.keep(res, v.own)
	return nil, false, nil
}

// ambiguous says what follows when the request may have been processed.
func (s *sending) ambiguous() (*http.Response, bool, error) {
	repeatable := s.req.Method == http.MethodGet || s.req.Method == http.MethodHead
	if !repeatable && (!s.pool.opts.ResendAmbiguous || s.resent) {
		return s.giveUp(&Error{Ambiguous: true, Failures: s.failures})
	}
	s.resent = true
	return nil, false, nil
}

// giveUp ends the sending with what there is to say.
func (s *sending) giveUp(err error) (*http.Response, bool, error) {
	res, err := s.lastWord(err)
	return res, true, err
}

// note notes why c did not answer.
func (s *sending) note(c *candidate, class string, err error) {
	s.failures = append(s.failures, Failure{Upstream: c.name, Class: class, Err: err})
}

// keep keeps an answer that explains itself for when nobody has a better one, in
// place of the one before, and lets go of any other.
func (s *sending) keep(res *http.Response, own bool) {
	if s.best != nil {
		s.best.Body.Close()
		s.best = nil
	}
	switch {
	case own:
		s.best = res
	case res != nil:
		res.Body.Close()
	}
}

// connection returns a connection to the first candidate that has one. Its
// error says that nobody has.
func (s *sending) connection() (*candidate, *conn, error) {
	if s.race.quiet() {
		if c, conn, err := s.begin(); conn != nil || err != nil {
			return c, conn, err
		}
	}
	ctx := s.req.Context()
	hedge, limit := time.NewTimer(hedgeAfter), time.NewTimer(max(connectWithin-time.Since(s.begun), leastConnect))
	defer hedge.Stop()
	defer limit.Stop()
	for {
		select {
		case r := <-s.race.results:
			s.race.received(r.candidate)
			if r.err == nil {
				s.race.outrun()
				return r.candidate, r.conn, nil
			}
			s.note(r.candidate, s.pool.connectFailed(r.candidate, r.err), r.err)
		case <-hedge.C:
		case <-limit.C:
			for _, c := range s.race.outrun() {
				s.note(c, ClassTimeout, context.DeadlineExceeded)
			}
			return nil, nil, s.nobody()
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
		if c, conn, err := s.begin(); conn != nil || err != nil {
			if conn != nil {
				s.race.outrun()
			}
			return c, conn, err
		}
		hedge.Reset(hedgeAfter)
	}
}

// begin takes a connection to the next candidate, or begins to make one. Its
// error says that nobody is left and nothing under way.
func (s *sending) begin() (*candidate, *conn, error) {
	for {
		c := s.next()
		if c == nil {
			if s.race.quiet() {
				return nil, nil, s.nobody()
			}
			return nil, nil, nil
		}
		if s.pool.Several() && !c.trial && c.health.hangs() {
			s.note(c, c.health.lastClass(), nil) // one request finds out for all
			continue
		}
		if !s.trusts(c) {
			continue
		}
		if !c.trial && !c.fresh {
			if conn := c.connections.take(s.http1()); conn != nil {
				return c, conn, nil
			}
		}
		if s.pool.Several() {
			s.startConnect(c)
			return nil, nil, nil
		}
		// Nobody to race with.
		conn, err := s.pool.connect(s.req.Context(), c, s.http1())
		if err == nil {
			return c, conn, nil
		}
		if ctx := s.req.Context(); ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		s.note(c, s.pool.connectFailed(c, err), err)
	}
}

// trusts reports whether the request may go to c now. It waits while what c was
// sent before is overdue to be acknowledged. An upstream that remains silent is
// tried by this request if no other does so, and else comes last.
func (s *sending) trusts(c *candidate) bool {
	if c.trial || c.fresh || c.passed || !s.pool.Several() {
		return true
	}
	for begun := time.Now(); ; {
		switch c.doubt() {
		case noDoubt:
			return true
		case quiet:
			if time.Since(begun) > quietWait {
				return true
			}
		case suspect:
			if c.health.startTrial() {
				c.trial, c.tried = true, true
				return true
			}
			c.passed = true
			s.queue = append(s.queue, c)
			s.left++
			s.result.Attempts--
			return false
		}
		if !pause(s.req.Context(), doubtStep) {
			return true // the client is gone
		}
	}
}

// next returns the next candidate to try, or nil if there is none or the budget
// is used up.
func (s *sending) next() *candidate {
	if len(s.queue) == 0 || s.left == 0 {
		return nil
	}
	if s.result.Attempts > 0 && !s.queue[0].fresh && !s.pool.budget.retry() {
		s.left = 0
		return nil
	}
	c := s.first()
	s.left--
	s.result.Attempts++
	s.result.Upstream, s.result.Base = c.name, c.base
	return c
}

// first takes the first candidate out of the queue. One that another request is
// trying already comes last.
func (s *sending) first() *candidate {
	for {
		c := s.queue[0]
		s.queue = s.queue[1:]
		if !c.due || c.health.startTrial() {
			c.trial, c.tried = c.due, c.due
			c.due = false
			return c
		}
		c.due = false
		s.queue = append(s.queue, c)
	}
}

func (s *sending) startConnect(c *candidate) {
	if s.race == nil {
		s.race = newRace(s.pool, s.req.Context(), s.http1(), len(s.queue)+s.result.Attempts+mostAttempts)
	}
	s.race.start(c)
}

// http1 reports whether the request needs HTTP/1.1.
func (s *sending) http1() bool { return s.req.Header["Upgrade"] != nil }

// nobody is the error when no upstream is left.
func (s *sending) nobody() error { return &Error{Ambiguous: s.resent, Failures: s.failures} }

// end lets go of what the request did not use.
func (s *sending) end() {
	s.race.end()
	if s.best != nil {
		s.best.Body.Close()
	}
	s.kept.Forget()
}

// closeBody closes the request's body, as a RoundTripper must.
func (s *sending) closeBody() {
	if s.req.Body != nil {
		s.req.Body.Close()
	}
}

// closeBodyAfter closes the request's body when the answer ends. Where the
// request is sent from a copy, nobody else does.
func (s *sending) closeBodyAfter(res *http.Response) {
	if s.req.Body == nil || s.req.GetBody != nil || res.StatusCode == http.StatusSwitchingProtocols {
		return
	}
	res.Body = closingBoth{res.Body, s.req.Body}
}

// A closingBoth is an answer's body that closes the request's as well.
type closingBoth struct {
	io.ReadCloser
	request io.Closer
}

// Whole is that of the answer's body.
func (c closingBoth) Whole(length int64) bool {
	whole, ok := c.ReadCloser.(interface{ Whole(int64) bool })
	return ok && whole.Whole(length)
}

func (c closingBoth) Close() error {
	return errors.Join(c.ReadCloser.Close(), c.request.Close())
}
