package core

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"example.com/relay/core/failover"
)

// An Error is an answer that the relay makes itself, in the shape of the
// errors of api.openai.com. Msg is for the client and says what to do; Err is
// for the log only.
type Error struct {
	Status int    // HTTP status
	Code   string // stable, listed in docs/errors.md
	Msg    string

	// RetryAfter is how long a client does well to wait before it asks again.
	// If zero, the client is not told.
	RetryAfter time.Duration

	// NoRetry tells official SDKs that asking again cannot help.
	NoRetry bool

	Err error
}

// Error returns the code and the internal error, for the log.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Code
	}
	return e.Code + ": " + e.Err.Error()
}

// Unwrap returns the internal error.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target has the same code, so that errors.Is finds the
// errors below however they were wrapped.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// because returns e with an internal error.
func (e *Error) because(err error) *Error {
	with := *e
	with.Err = err
	return &with
}

// All errors that a client can get from the relay. Official SDKs ask again on
// 408, 409, 429 and from 500 on, unless the answer says otherwise, and heed
// Retry-After-Ms only up to 8 seconds (openai-go).
var (
	errInvalidTarget = &Error{Status: http.StatusBadRequest, Code: "invalid_target", NoRetry: true,
		Msg: "The request target is not one that this relay hands on: send an absolute path such as /v1/models, without dot segments, double slashes, backslashes, semicolons, or encoded slashes and control characters."}
	errMethod = &Error{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", NoRetry: true,
		Msg: "This relay takes GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS."}
	errUnknownPath = &Error{Status: http.StatusNotFound, Code: "unknown_path", NoRetry: true,
		Msg: "This relay has nothing at this path. The API's paths begin with /v1/: the base URL in your client must end in /v1."}
	errURITooLong = &Error{Status: http.StatusRequestURITooLong, Code: "uri_too_long", NoRetry: true,
		Msg: "The request's URL is longer than 8 KiB: send what is long in the body."}
	errHeadersTooLarge = &Error{Status: http.StatusRequestHeaderFieldsTooLarge, Code: "headers_too_large", NoRetry: true,
		Msg: "The request's headers are larger than 64 KiB: send fewer or shorter ones."}
	errHeadersRefused = &Error{Status: http.StatusRequestHeaderFieldsTooLarge, Code: "headers_too_large", NoRetry: true,
		Msg: "The request's headers are larger than any upstream of this relay takes, so nothing was sent: send fewer or shorter ones."}
	errHost = &Error{Status: http.StatusForbidden, Code: "host_not_allowed", NoRetry: true,
		Msg: "This relay may not be called by this host name. Call it by the address that it printed at its start, or let its operator add the name to RELAY_ALLOWED_HOSTS."}

	errAccess = &Error{Status: http.StatusUnauthorized, Code: "invalid_access_token", NoRetry: true,
		Msg: "This relay needs an access token. Send it in the X-Relay-Token header, or in front of your API key as rt_<token>.<key>; its operator has it."}
	errDuplicateAuthorization = &Error{Status: http.StatusBadRequest, Code: "duplicate_authorization", NoRetry: true,
		Msg: "The request has several Authorization or X-Relay-Token headers: send one of each at most."}

	errBodyTooLarge = &Error{Status: http.StatusRequestEntityTooLarge, Code: "body_too_large", NoRetry: true,
		Msg: "The request body is larger than this relay takes."}
	errBodyTimeout = &Error{Status: http.StatusRequestTimeout, Code: "body_timeout",
		Msg: "The request body came too slowly. Send it again, over a faster connection if this goes on."}
	errBodyIncomplete = &Error{Status: http.StatusBadRequest, Code: "body_incomplete",
		Msg: "The request body broke off before its end. Send it again."}
	errOverloaded = &Error{Status: http.StatusServiceUnavailable, Code: "relay_overloaded", RetryAfter: time.Second,
		Msg: "This relay has as many requests in flight as it may. Try again in a moment; its operator can raise RELAY_MAX_IN_FLIGHT."}
	errLoop = &Error{Status: http.StatusLoopDetected, Code: "relay_loop", NoRetry: true,
		Msg: "This request came back to a relay again and again: RELAY_UPSTREAMS of some relay on its way names a relay that leads back to it."}
	errWebSocket = &Error{Status: http.StatusNotFound, Code: "websocket_unsupported", NoRetry: true,
		Msg: "There is no WebSocket here, or a proxy in front of the relay took the Upgrade header out. Use the HTTP endpoints, or a relay on a platform which has it: relay serve, Google Cloud Functions or Vercel."}

	errConnect = &Error{Status: http.StatusBadGateway, Code: "upstream_connect", RetryAfter: 500 * time.Millisecond,
		Msg: "This relay could not connect to the API, so nothing was sent. Try again in a moment; if it goes on, relay check tells what is wrong."}
	errReset = &Error{Status: http.StatusBadGateway, Code: "upstream_reset", RetryAfter: 500 * time.Millisecond,
		Msg: "The API broke the connection off, or answered with something that is no HTTP, before its answer began. It may have seen the request. Try again."}
	errAllFailed = &Error{Status: http.StatusBadGateway, Code: "all_regions_failed", RetryAfter: time.Second,
		Msg: "None of this relay's upstreams could take the request, so nothing was processed. Try again in a moment; relay check tells what is wrong with each."}
	errPlatform = &Error{Status: http.StatusBadGateway, Code: "platform_failed", RetryAfter: 500 * time.Millisecond,
		Msg: "The platform in front of an upstream relay answered in its place, after the request was sent. The API may have seen the request. Try again."}
	errClientTimeout = &Error{Status: http.StatusGatewayTimeout, Code: "client_timeout",
		Msg: "The API has not begun to answer within the time that this client waits, so the relay gave the request up. Ask for less, or raise the client's timeout."}
	errInvalidResponse = &Error{Status: http.StatusBadGateway, Code: "upstream_invalid_response", RetryAfter: 500 * time.Millisecond,
		Msg: "The API answered with a status that HTTP does not have here. Try again."}
	// ErrInterrupted is the answer to a request whose answer broke off before
	// any of it was given.
	ErrInterrupted = &Error{Status: http.StatusBadGateway, Code: "upstream_interrupted", RetryAfter: 500 * time.Millisecond,
		Msg: "The API broke the connection off in the middle of this answer, so the answer is incomplete. Ask again."}
	errIdle = &Error{Status: http.StatusGatewayTimeout, Code: "upstream_idle_timeout",
		Msg: "The API fell silent in the middle of this answer, so the answer is incomplete. Ask again."}
	errStreamLimit = &Error{Status: http.StatusGatewayTimeout, Code: "stream_limit", NoRetry: true,
		Msg: "This relay ends answers that take as long as this one took; its operator set RELAY_MAX_STREAM_TIME. The answer is incomplete."}
	errDeadline = &Error{Status: http.StatusGatewayTimeout, Code: "relay_deadline", NoRetry: true,
		Msg: "The platform's time for one request is over, so the answer is incomplete. Ask for a shorter answer, or raise the function's timeout."}
	errShutdown = &Error{Status: http.StatusServiceUnavailable, Code: "relay_shutdown", RetryAfter: time.Second,
		Msg: "This relay is shutting down, so the answer is incomplete. Ask again."}

	errMisconfigured = &Error{Status: http.StatusInternalServerError, Code: "relay_misconfigured", NoRetry: true,
		Msg: "This relay's configuration is wrong, so it relays nothing. Its operator finds the reason in its log."}
	// ErrInternal is the answer to a request at which a handler panicked.
	ErrInternal = &Error{Status: http.StatusInternalServerError, Code: "relay_internal_error",
		Msg: "This relay failed at this request through a fault of its own. Its operator finds it in its log by the request id."}
)

// allFailed returns the error for a request that no upstream could take, with
// what each of them said.
func allFailed(err *failover.Error) *Error {
	e := errAllFailed.because(err)
	e.Msg += " They are: " + err.Summary() + "."
	return e
}

// errClientGone says that nobody is left to answer. It is logged as 499 and
// blames no upstream.
var errClientGone = errors.New("client_gone")

// body returns e as api.openai.com writes its errors.
func (e *Error) body() []byte {
	type fields struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    string  `json:"code"`
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // for people: messages hold <token>
	// Strings always encode, and a buffer takes them.
	_ = enc.Encode(map[string]fields{"error": {Message: e.Msg, Type: "relay_error", Code: e.Code}})
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// frame returns e as an event of an event stream. The blank line in front ends
// an event that was cut inside, so that clients see it broken; there is no
// [DONE] behind.
func (e *Error) frame() []byte {
	return []byte("\n\ndata: " + string(e.body()) + "\n\n")
}

// ServeHTTP answers req with e, whose body req's client has not got any of yet.
func (e *Error) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	rec := recordOf(req)
	rec.fail(e)

	h := w.Header()
	if h.Get("X-Relay") == "" { // an adapter's answer, outside of the stages
		h.Set("X-Relay", "relay; origin=relay")
	}
	if rec.id == "" {
		rec.id = requestID()
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Request-Id", rec.id)
	h.Set("X-Relay-Error", e.Code)
	if e.RetryAfter > 0 {
		h.Set("Retry-After-Ms", strconv.FormatInt(e.RetryAfter.Milliseconds(), 10))
	}
	if e.NoRetry {
		h.Set("X-Should-Retry", "false")
	}
	switch e.Status {
	case http.StatusMethodNotAllowed:
		h.Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	case http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusInternalServerError:
		h.Set("Connection", "close") // a body may be left that is not worth reading
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer") // RFC 9110, section 11.6.1
	}
	body := e.body()
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(e.Status)
	if req.Method != http.MethodHead {
		// A client that does not take an error has no use for another.
		_, _ = w.Write(body)
	}
}

// writeError answers with err, which is an *Error or wraps one; anything else
// is an internal error.
func writeError(w http.ResponseWriter, req *http.Request, err error) {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = ErrInternal.because(err)
	}
	e.ServeHTTP(w, req)
}
