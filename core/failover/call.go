package failover

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"example.com/relay/core/failover/internal/conn"
	"example.com/relay/core/internal/memory"
	"example.com/relay/core/internal/replay"
	"example.com/relay/core/protocol"
)

// A call is one request on its way through the pool. It belongs to the goroutine
// that made it.
type call struct {
	pool  *Pool
	req   *http.Request
	route Route
	start time.Time

	queue  queue
	race   *race // nil until the first connect
	result Result

	first  io.ReadCloser                 // body of the first attempt, until that takes it; or nil
	reopen func() (io.ReadCloser, error) // body of a further attempt; nil if there is no body
	kept   *replay.Body                  // that both read; nil if the request has copies of its own
	body   *watchedBody                  // of the current attempt

	failures  []Failure
	resent    bool         // although it may have been processed
	why       reason       // of the next attempt
	resumable bool         // the response may continue through another upstream
	ahead     memory.Share // of a body that was read to know that
	size      int64        // of a body of unknown length that was read whole; or -1

	fallback fallback // if no upstream has a better response

	checks []<-chan struct{} // of upstreams that this request made suspicious
}

// newCall returns the call for a request on a route. end must be called.
func (p *Pool) newCall(req *http.Request, route Route) *call {
	list := p.list()
	c := &call{pool: p, req: req, route: route, start: time.Now(), size: -1}
	c.result.Several = len(list) > 1
	if c.result.Several {
		c.queue.candidates = p.order(list)
	} else {
		c.queue.only.upstream = list[0]
		c.queue.candidates = append(c.queue.one[:0], &c.queue.only)
	}
	c.queue.candidates = c.choose(c.queue.candidates, list)
	c.queue.left = min(len(c.queue.candidates), maxAttempts)
	p.budget.request()
	if req.Body == nil || req.Body == http.NoBody {
		return c
	}
	c.first, c.reopen = req.Body, req.GetBody
	if c.reopen == nil {
		c.kept = replay.New(req.Body, req.ContentLength)
		c.first, c.reopen = c.kept.Open(), c.kept.Reopen
	}
	if p.opts.ResumeResponses && mayResume(req) {
		c.readAhead()
	}
	if c.result.Several && len(c.queue.candidates) > 0 {
		c.chooseBySize()
	}
	return c
}

// A step is what follows from an attempt: the next one or, if final, the end of
// the call with res or err.
type step struct {
	final bool
	res   *http.Response
	err   error
}

// send tries one candidate after another until a response or an error is final.
func (c *call) send() (*http.Response, error) {
	for {
		cand, cn, err := c.acquire()
		if err != nil {
			return c.finish(err)
		}
		if s := c.attempt(cand, cn); s.final {
			return s.res, s.err
		}
	}
}

// A fallback is a response that explains itself. The zero fallback is none.
type fallback struct {
	res    *http.Response
	result Result   // how it was sent
	by     *attempt // that got it
}

// isTooLarge reports whether it says that the request's body is too large.
func (f fallback) isTooLarge() bool {
	return f.res != nil && f.res.StatusCode == http.StatusRequestEntityTooLarge
}

// finish returns what there is to say when no candidate is left: the fallback,
// or else err. That a body is too large comes before anything else, since a
// client that retried would only upload it again.
func (c *call) finish(err error) (*http.Response, error) {
	if c.fallback.res == nil || c.req.Context().Err() != nil {
		return nil, err
	}
	if e, ok := errors.AsType[*Error](err); ok && e.TooLarge() && !c.fallback.isTooLarge() {
		return nil, err
	}
	f, attempts := c.fallback, c.result.Attempts
	c.fallback = fallback{}
	if c.hold(f.by, f.res) != nil {
		return nil, err
	}
	c.result, c.result.Attempts = f.result, attempts
	return f.res, nil
}

// finished is finish as a step.
func (c *call) finished(err error) step {
	res, err := c.finish(err)
	return step{final: true, res: res, err: err}
}

// attempt sends the request to cand over cn.
func (c *call) attempt(cand *candidate, cn *conn.Conn) step {
	body, err := c.open()
	if err != nil {
		cn.Release()
		if len(c.failures) > 0 && errors.Is(err, replay.ErrTooLarge) {
			return c.finished(c.failed())
		}
		return step{final: true, err: err}
	}
	c.result.Upstream, c.result.Base, c.result.from = cand.name, cand.base, cand.upstream
	a := &attempt{pool: c.pool, u: cand.upstream, conn: cn}
	c.body = watch(body, c.req.ContentLength)
	res, err := a.roundTrip(c.outbound(cand))
	if err != nil {
		return c.onFailure(cand, a, err)
	}
	return c.onResponse(cand, a, res)
}

// open returns the body to send, or nil if there is none.
func (c *call) open() (io.ReadCloser, error) {
	if body := c.first; body != nil {
		c.first = nil
		return body, nil
	}
	if c.reopen == nil {
		return nil, nil
	}
	return c.reopen()
}

// outbound returns the request for cand.
func (c *call) outbound(cand *candidate) *http.Request {
	out, u := *c.req, cand.upstream
	out.URL, out.Host, out.Header = u.url(c.req.URL), u.base.Host, u.header(c.req.Header)
	out.Body, out.GetBody = nil, nil // only this package sends again
	if c.body != nil {
		out.Body = c.body
	}
	if c.route.Key != NoKey {
		out.Header = u.authorized(out.Header)
	}
	if cand.askFirst {
		out.Header = askingFirst(out.Header)
	}
	if c.retriesQuota() {
		out.Header = readable(out.Header)
	}
	return &out
}

// onFailure returns what follows from an attempt without a response.
func (c *call) onFailure(cand *candidate, a *attempt, err error) step {
	ctx := c.req.Context()
	if ctx.Err() != nil {
		return step{final: true, err: context.Cause(ctx)}
	}
	if bodyErr := c.body.failure(); bodyErr != nil {
		return step{final: true, err: bodyErr} // no upstream's fault
	}
	c.why = failing
	switch {
	case errors.Is(err, conn.ErrHeadersRefused):
		c.why = provoked
		c.note(cand, ClassHeaders, err)
		return step{}
	case !errors.Is(err, conn.ErrUnprocessed):
		return c.onReset(cand, a, err)
	case cand.reconnects == 0:
		// The connection was dead when it was taken, or refused the request: that
		// says nothing about the upstream, which gets another one.
		cand.reconnects++
		c.queue.putBack(cand, &c.result)
		return step{}
	}
	c.note(cand, ClassReset, err)
	c.pool.strike(cand.upstream, ClassReset, 1)
	return step{}
}

// onReset returns what follows when the upstream may have processed the request
// and will not respond.
func (c *call) onReset(cand *candidate, a *attempt, err error) step {
	class := ClassReset
	if errors.Is(a.cause(), errUnresponsive) {
		class = ClassUnresponsive // which has been held against it already
	} else {
		c.penalize(cand.upstream, verdict{class: class, penalty: strike, check: healthCheck})
	}
	c.note(cand, class, err)
	c.dropFallback() // it would say that nothing was processed
	return c.onAmbiguous()
}

// onResponse returns what follows from a response.
func (c *call) onResponse(cand *candidate, a *attempt, res *http.Response) step {
	u := cand.upstream
	if res.Header.Get(protocol.Marker) != "" {
		c.pool.meet(u)
	}
	if !c.result.Several {
		u.health.success() // never down, so nothing changes
		c.result.Relay = u.isRelay() && isOwnError(res)
		return c.respond(cand, a, res)
	}
	if res.StatusCode == http.StatusExpectationFailed && cand.askFirst {
		return c.askNoMore(cand, res)
	}
	isRelay := needsRelay(res) && c.pool.knowsRelay(c.req.Context(), u)
	c.result.Relay = isRelay && isOwnError(res)
	v := judge(u, c.req, res, isRelay)
	if v.outcome == passThrough && c.pool.findsRefusal(c.req.Context(), u, res) {
		v = regionRefused
	}
	if c.retriesQuota() && isOutOfQuota(res) {
		v = outOfQuota
	}
	c.penalize(u, v)
	if v.outcome == passThrough {
		if res.StatusCode < 300 { // others may be said before the body is read
			u.sizes.accept(c.req.ContentLength)
		}
		return c.respond(cand, a, res)
	}
	if v.tooLarge {
		u.sizes.refuse(c.req.ContentLength)
	}
	c.why = v.reason
	c.note(cand, v.class, nil)
	if v.outcome == ambiguous {
		c.dropFallback() // it would say that nothing was processed
	}
	c.keep(fallback{res, c.result, a}, v.selfExplaining)
	if v.outcome == ambiguous {
		return c.onAmbiguous()
	}
	return step{}
}

// askNoMore returns what follows when a front does not know the expectation that
// this package added (RFC 9110, section 15.5.18): the same without it.
func (c *call) askNoMore(cand *candidate, res *http.Response) step {
	res.Body.Close()
	cand.askFirst = false
	cand.reconnects++ // which makes it no retry
	c.queue.putBack(cand, &c.result)
	return step{}
}

// onAmbiguous returns what follows when the request may have been processed.
func (c *call) onAmbiguous() step {
	if !c.mayResend() {
		return c.finished(&Error{Ambiguous: true, Failures: c.failures})
	}
	c.resent = true
	return step{}
}

// mayResend reports whether the request may be sent again although it may have been
// processed.
func (c *call) mayResend() bool {
	safe := c.req.Method == http.MethodGet || c.req.Method == http.MethodHead
	return safe || c.pool.opts.ResendAmbiguous && !c.resent
}

// penalize applies a verdict to u: at once or, if the request may have provoked
// the response, when a check has shown that u is to blame.
func (c *call) penalize(u *upstream, v verdict) {
	apply := func() { c.pool.apply(u, v) }
	if v.check == noCheck || v.penalty == noPenalty || !c.result.Several {
		apply()
		return
	}
	u.health.noteError(v.class)
	if done := c.pool.suspect(c.req.Context(), u, apply); done != nil {
		c.checks = append(c.checks, done)
	}
}

// note records why cand did not respond.
func (c *call) note(cand *candidate, class string, err error) {
	c.failures = append(c.failures, Failure{Upstream: cand.name, Class: class, Err: err})
}

// keep makes next the fallback if it explains itself, and closes it otherwise. A
// body that is too large remains so, whatever others say.
func (c *call) keep(next fallback, selfExplaining bool) {
	if !selfExplaining || c.fallback.isTooLarge() && !next.isTooLarge() {
		next.res.Body.Close()
		return
	}
	c.dropFallback()
	c.fallback = next
}

func (c *call) dropFallback() {
	if c.fallback.res != nil {
		c.fallback.res.Body.Close()
		c.fallback = fallback{}
	}
}

// failed is the error when no upstream is left.
func (c *call) failed() error { return &Error{Ambiguous: c.resent, Failures: c.failures} }

// needsHTTP1 reports whether the request can only be sent over HTTP/1.1.
func (c *call) needsHTTP1() bool { return c.req.Header["Upgrade"] != nil }

// checkPatience is how long a response waits for checks of the upstreams that
// failed before it, so that the next request knows what they found.
const checkPatience = 100 * time.Millisecond

// awaitChecks waits for the checks that the request started: briefly, or to
// their end where nothing may outlive a request.
func (c *call) awaitChecks() {
	if len(c.checks) == 0 {
		return
	}
	var patience <-chan time.Time // blocks for ever
	if !c.pool.opts.Serverless {
		timer := time.NewTimer(checkPatience)
		defer timer.Stop()
		patience = timer.C
	}
	for _, done := range c.checks {
		select {
		case <-done:
		case <-patience:
			return
		}
	}
}

// end releases what the request did not use.
func (c *call) end() {
	c.awaitChecks()
	c.race.end()
	c.dropFallback()
	c.kept.Forget()
	c.ahead.Release()
}
