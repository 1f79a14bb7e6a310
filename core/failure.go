package core

import (
	"context"
	"errors"
	"strings"
	"syscall"

	"example.com/relay/core/failover"
	"example.com/relay/core/internal/replay"
)

// upstreamError returns the error for a request without a response. The relay's own
// reasons take precedence, then the client's, then the upstreams'.
func (x *exchange) upstreamError(err error) error {
	if cause, ok := errors.AsType[*Error](context.Cause(x.ctx)); ok {
		return x.blaming(cause)
	}
	clientGone := x.req.Context().Err() != nil
	if clientGone {
		x.body.Settle()
	}
	bodyErr := x.body.Failure()
	switch {
	case errors.Is(bodyErr, replay.ErrPanic):
		return ErrInternal.because(bodyErr)
	case bodyErr != nil && !errors.Is(bodyErr, errBodyIncomplete):
		return bodyErr
	case clientGone:
		return errClientGone
	case bodyErr != nil:
		return bodyErr
	case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE):
		return errOverloaded.because(err)
	}
	poolErr, ok := errors.AsType[*failover.Error](err)
	if !ok {
		return x.blaming(errReset.because(err))
	}
	return x.poolError(poolErr)
}

// blaming returns e, which is the API's fault, as the fault of the upstream that
// responded, or was tried last, where there are relays in between.
func (x *exchange) blaming(e *Error) *Error {
	switch {
	case x.pool.Several():
		return e.ofUpstream(x.sent.Upstream)
	case x.pool.LeadsToRelays():
		return e.ofUpstream("")
	}
	return e
}

// poolError returns the error for a request that no upstream responded to.
func (x *exchange) poolError(err *failover.Error) error {
	switch {
	case err.Only(failover.ClassHeaders):
		return errHeadersRefused.because(err)
	case err.TooLarge():
		return errTooLargeEverywhere.naming(err, " They are: ")
	case err.Ambiguous && strings.HasPrefix(err.Last(), failover.ClassPlatform):
		return errPlatform.naming(err, " What happened: ")
	case err.Ambiguous && err.Last() == failover.ClassInterrupted:
		return x.blaming(ErrInterrupted.because(err))
	case err.Ambiguous && x.pool.Several():
		return errUpstreamReset.naming(err, " What happened: ")
	case err.Ambiguous:
		return x.blaming(errReset.because(err))
	case x.pool.Several() || err.Only(failover.ClassRemoved):
		return errAllFailed.naming(err, " They are: ")
	}
	return x.blaming(errConnect.because(err))
}

// interruption returns the error for a truncated response: an *Error or
// errClientGone.
func (x *exchange) interruption(err error) error {
	cause := context.Cause(x.ctx)
	if e, ok := errors.AsType[*Error](cause); ok {
		return x.blaming(e)
	}
	if x.req.Context().Err() != nil || errors.Is(err, errClientGone) || errors.Is(cause, errClientGone) {
		return errClientGone
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return x.blaming(ErrInterrupted.because(err))
}
