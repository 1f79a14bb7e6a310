package conn

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrUnprocessed is wrapped by the error of a round trip of which nothing was
	// written, or which the upstream said it has not processed: another connection
	// may carry the request.
	ErrUnprocessed = errors.New("request was not processed")

	// ErrHeadersRefused is wrapped by the error for a request that was not written
	// because its headers are larger than the upstream takes.
	ErrHeadersRefused = errors.New("request headers are larger than the upstream takes")

	// ErrRequestFailed is wrapped by a response body's error if the request's body
	// failed meanwhile.
	ErrRequestFailed = errors.New("request body failed before the response was complete")

	errPeerClosed      = errors.New("upstream closed the connection while it was idle")
	errClosed          = errors.New("connection is closed")
	errHeadersTooLarge = errors.New("response headers are too large")
	errInvalidRequest  = errors.New("request cannot be written as HTTP/1.1")
	errBodyTooShort    = errors.New("request body is shorter than its length")
	errBodyClosed      = errors.New("read on closed response body")
	errNoProtocol      = errors.New("upstream agreed to no protocol")
	errVersion         = errors.New("response has another version of HTTP than the request")
)

// classified returns err with what it says about the request. Unsent says that
// nothing was written.
func classified(err error, unsent bool) error {
	switch {
	case strings.HasSuffix(err.Error(), headersTooLarge):
		return fmt.Errorf("%w: %w", ErrHeadersRefused, err)
	case unsent, errors.Is(err, errPeerClosed), isRefusedStream(err):
		return fmt.Errorf("%w: %w", ErrUnprocessed, err)
	}
	return err
}

const (
	// headersTooLarge is the end of net/http's error for a request that it did not
	// write since its headers are larger than an HTTP/2 server takes
	// (SETTINGS_MAX_HEADER_LIST_SIZE; RFC 9113, section 6.5.2). The error is not
	// exported.
	headersTooLarge = "request header list larger than peer's advertised limit"

	// goAway is net/http's error for an HTTP/2 stream that the server announced not
	// to process (RFC 9113, section 6.8). The error is not exported.
	goAway = "http2: Transport received Server's graceful shutdown GOAWAY"

	// refusedStream is the code REFUSED_STREAM (RFC 9113, section 7).
	refusedStream = 7
)

// isRefusedStream reports whether an HTTP/2 server said that it has not
// processed a request (RFC 9113, section 8.7).
func isRefusedStream(err error) bool {
	// net/http converts its stream errors into any struct with these fields.
	var stream streamError
	return errors.As(err, &stream) && stream.Code == refusedStream || err.Error() == goAway
}

// A streamError is an HTTP/2 stream's error, as net/http has it.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return "HTTP/2 stream error" }
