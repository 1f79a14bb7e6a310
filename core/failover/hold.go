package failover

import (
	"context"
	"errors"
	"net/http"
)

// respond returns the step that ends the call with res, or what follows if res ends
// while it is held back.
func (c *call) respond(cand *candidate, a *attempt, res *http.Response) step {
	err := c.hold(a, res)
	if err == nil {
		return step{final: true, res: res}
	}
	if ctx := c.req.Context(); ctx.Err() != nil {
		return step{final: true, err: context.Cause(ctx)}
	}
	if bodyErr := c.body.failure(); bodyErr != nil {
		return step{final: true, err: bodyErr} // no upstream's fault
	}
	class := ClassInterrupted
	if errors.Is(a.cause(), errUnresponsive) {
		class = ClassUnresponsive
	}
	c.why = failing
	c.note(cand, class, err) // it has been held against the upstream already
	c.dropFallback()
	return c.onAmbiguous()
}

// hold lets the route hold res back, if it wants to.
func (c *call) hold(a *attempt, res *http.Response) error {
	if c.route.Hold == nil {
		return nil
	}
	return a.hold(res, c.route.Hold)
}

// hold lets the request wait for the response, which has begun, until hold returns.
func (a *attempt) hold(res *http.Response, hold func(*http.Response) error) error {
	a.held.Store(true)
	defer a.held.Store(false)
	if a.cancel != nil {
		a.pool.watch(a.u)
	}
	err := hold(res)
	if err != nil {
		res.Body.Close()
	}
	return err
}

// isAwaited reports whether the request waits for its response.
func (a *attempt) isAwaited() bool { return !a.answered.Load() || a.held.Load() }
