package core

import (
	"context"
	"errors"
	"strings"
	"syscall"

	"example.com/relay/core/failover"
	"example.com/relay/core/internal/replay"
)

// upstreamError returns why there is no response: the relay's own reasons first,
// then the client's, then the upstreams'.
func (x *exchange) upstreamError(err error) error {
	if cause, ok := errors.AsType[*Error](context.Cause(x.ctx)); ok {
		return cause
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
	failed, ok := errors.AsType[*failover.Error](err)
	if !ok {
		return errReset.because(err)
	}
	return x.poolError(failed)
}

// poolError returns what a client is told of upstreams that failed.
func (x *exchange) poolError(err *failover.Error) error {
	switch {
	case err.Only(failover.ClassHeaders):
		return errHeadersRefused.because(err)
	case err.Ambiguous && strings.HasPrefix(err.Last(), failover.ClassPlatform):
		return errPlatform.because(err)
	case err.Ambiguous:
		return errReset.because(err)
	case x.pool.Several():
		return allFailed(err)
	}
	return errConnect.because(err)
}

// interruption returns why a response was truncated.
func (x *exchange) interruption(err error) error {
	cause := context.Cause(x.ctx)
	if e, ok := errors.AsType[*Error](cause); ok {
		return e
	}
	if x.req.Context().Err() != nil || errors.Is(err, errClientGone) || errors.Is(cause, errClientGone) {
		return errClientGone
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return ErrInterrupted.because(err)
}
