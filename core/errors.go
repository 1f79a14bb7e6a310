package core

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"example.com/relay/core/failover"
	"example.com/relay/core/protocol"
)

// An Error is a response that the relay makes itself, in the shape of the errors
// of api.openai.com. Msg is for the client and says what to do; Err is for the
// log only.
type Error struct {
	Status int    // HTTP status
	Code   string // stable, listed in docs/errors.md
	Msg    string

	// RetryAfter is how long a client should wait before it retries. If zero, the
	// client is not told.
	RetryAfter time.Duration

	// NoRetry tells official SDKs that a retry cannot help.
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

// All errors that a client can get from the relay. Official SDKs retry on 408,
// 409, 429 and from 500 on, unless the response says otherwise, and heed
// Retry-After-Ms only up to 8 seconds (openai-go).
var (
	errInvalidTarget = &Error{Status: http.StatusBadRequest, Code: "invalid_target", NoRetry: true,
		Msg: "This relay does not forward such a request target. Send an absolute path such as /v1/models, without " +
			"dot segments, double slashes, backslashes, semicolons, or encoded control characters."}
	errMethod = &Error{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", NoRetry: true,
		Msg: "This relay forwards GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS."}
	errUnknownPath = &Error{Status: http.StatusNotFound, Code: "unknown_path", NoRetry: true,
		Msg: "This relay does not forward this path. The API's paths begin with /v1/, so the base URL in your " +
			"client must end in /v1. To forward other paths, its operator adds them to RELAY_PATHS."}
	errURITooLong = &Error{Status: http.StatusRequestURITooLong, Code: "uri_too_long", NoRetry: true,
		Msg: "The request's URL is longer than 8 KiB. Send long values in the body."}
	errHeadersTooLarge = &Error{Status: http.StatusRequestHeaderFieldsTooLarge, Code: "headers_too_large",
		NoRetry: true,
		Msg:     "The request's headers are larger than 64 KiB or more than 500. Send fewer or shorter ones."}
	errHeadersRefused = &Error{Status: http.StatusRequestHeaderFieldsTooLarge, Code: "headers_too_large", NoRetry: true,
		Msg: "The request's headers are larger than any upstream of this relay accepts, so nothing was sent. " +
			"Send fewer or shorter ones."}
	errHost = &Error{Status: http.StatusForbidden, Code: "host_not_allowed", NoRetry: true,
		Msg: "This relay may not be called by this host name. Use the address that it printed at start-up, or have " +
			"its operator add the name to RELAY_ALLOWED_HOSTS."}
	errOrigin = &Error{Status: http.StatusForbidden, Code: "origin_not_allowed", NoRetry: true,
		Msg: "This relay accepts no requests from web pages of this origin. Have its operator add the origin by name " +
			"to RELAY_ALLOWED_ORIGINS, or call the relay from a program."}
	errNavigation = &Error{Status: http.StatusForbidden, Code: "browser_navigation_not_allowed", NoRetry: true,
		Msg: "A browser may not open the API's responses as a page, frame, script or worker on this relay's " +
			"address. Use fetch or XMLHttpRequest in a page, or a program."}

	errAccess = &Error{Status: http.StatusUnauthorized, Code: "invalid_access_token", NoRetry: true,
		Msg: "This relay's access token is missing or wrong. Send it in the X-Relay-Token header, or in front of " +
			"your API key as rt_<token>.<key>. Ask the relay's operator for it."}
	errTokenExpired = &Error{Status: http.StatusUnauthorized, Code: "token_expired", NoRetry: true,
		Msg: "This access token has expired. Ask the relay's operator to extend or replace it."}
	errTokenNotAllowed = &Error{Status: http.StatusForbidden, Code: "token_not_allowed", NoRetry: true,
		Msg: "This access token does not allow this path or method. Request /relay/health with it to see what it " +
			"allows, or ask the relay's operator."}
	errModelNotAllowed = &Error{Status: http.StatusForbidden, Code: "token_not_allowed", NoRetry: true,
		Msg: "This access token does not allow this model. Request /relay/health with it to see which it allows, or " +
			"ask the relay's operator."}
	errModelUnknown = &Error{Status: http.StatusForbidden, Code: "token_not_allowed", NoRetry: true,
		Msg: "This access token allows certain models only, and the relay could not determine this request's model. " +
			"Set model once, in a JSON object or multipart form that is not compressed, or in the query of a " +
			"Realtime WebSocket; where the API has no such member, use another token."}
	errTokenRate = &Error{Status: http.StatusTooManyRequests, Code: "token_rate_limited", RetryAfter: 8 * time.Second,
		Msg: "This access token has reached its max number of requests per minute at this relay; the API was not " +
			"called. Retry after a pause, or have its operator raise per_minute."}
	errTokenInFlight = &Error{Status: http.StatusTooManyRequests, Code: "token_rate_limited", RetryAfter: time.Second,
		Msg: "This access token has reached its max number of requests in flight at this relay; the API was not " +
			"called. Retry in a moment, or have its operator raise max_in_flight."}
	errDuplicateAuthorization = &Error{Status: http.StatusBadRequest, Code: "duplicate_authorization", NoRetry: true,
		Msg: "The request has several Authorization, X-Relay-Token, Api-Key, X-Api-Key or X-Goog-Api-Key headers. " +
			"Send at most one of each."}
	errMisplacedToken = &Error{Status: http.StatusBadRequest, Code: "misplaced_access_token", NoRetry: true,
		Msg: "The request has an access token of this relay where it would reach the API, so nothing was sent. Send " +
			"it once, in the X-Relay-Token header or in front of your API key as rt_<token>.<key>."}

	errBodyTooLarge = &Error{Status: http.StatusRequestEntityTooLarge, Code: "body_too_large", NoRetry: true,
		Msg: "The request body is larger than this relay accepts."}
	errTooLargeEverywhere = &Error{Status: http.StatusRequestEntityTooLarge, Code: "body_too_large", NoRetry: true,
		Msg: "No upstream of this relay accepts a request body of this size, so nothing was processed. Send a " +
			"smaller one, or add an upstream with a larger limit: Google Cloud Functions accept 32 MiB, relay " +
			"serve up to RELAY_MAX_BODY_BYTES."}
	errBodyTimeout = &Error{Status: http.StatusRequestTimeout, Code: "body_timeout",
		Msg: "The request body was sent too slowly. Retry it; if that does not help, use a faster connection."}
	errBodyIncomplete = &Error{Status: http.StatusBadRequest, Code: "body_incomplete",
		Msg: "The request body ended before it was complete. Send it again."}
	errOverloaded = &Error{Status: http.StatusServiceUnavailable, Code: "relay_overloaded", RetryAfter: time.Second,
		Msg: "This relay has reached its max number of requests in flight. Retry in a moment; its operator can " +
			"raise RELAY_MAX_IN_FLIGHT."}
	errSockets = &Error{Status: http.StatusServiceUnavailable, Code: "relay_overloaded", RetryAfter: time.Second,
		Msg: "This access token has reached its max number of WebSockets, half of RELAY_MAX_IN_FLIGHT. Close some, " +
			"or retry in a moment."}
	errLoop = &Error{Status: http.StatusLoopDetected, Code: "relay_loop", NoRetry: true,
		Msg: "This request has passed too many relays. RELAY_UPSTREAMS of one of them probably names a relay that " +
			"leads back to it."}
	errWebSocket = &Error{Status: http.StatusUpgradeRequired, Code: "websocket_unsupported", NoRetry: true,
		Msg: "WebSockets do not work here: the platform has none, the handshake is incomplete, or a proxy removed " +
			"its Upgrade header. Use the HTTP endpoints, or a relay on a platform with WebSockets: relay serve, " +
			"Google Cloud Functions, Vercel or Cloudflare."}

	errConnect = &Error{Status: http.StatusBadGateway, Code: "upstream_connect", RetryAfter: 500 * time.Millisecond,
		Msg: "This relay could not connect to the API, so nothing was sent. Retry in a moment; if that does not " +
			"help, run relay check."}
	errReset = &Error{Status: http.StatusBadGateway, Code: "upstream_reset", RetryAfter: 500 * time.Millisecond,
		Msg: "The API closed the connection, or sent something that is not HTTP, before its response began. It may " +
			"have processed the request. Retry it."}
	errAllFailed = &Error{Status: http.StatusBadGateway, Code: "all_regions_failed", RetryAfter: time.Second,
		Msg: "None of this relay's upstreams could take the request, so nothing was processed. Retry in a moment; " +
			"run relay check to find out what is wrong with each."}
	errPlatform = &Error{Status: http.StatusBadGateway, Code: "platform_failed", RetryAfter: 500 * time.Millisecond,
		Msg: "An upstream relay's platform returned its own error after the request was sent. The API may have " +
			"processed the request. Retry it."}
	errClientTimeout = &Error{Status: http.StatusGatewayTimeout, Code: "client_timeout",
		Msg: "The API did not respond within this client's timeout, so the relay cancelled the request. Request " +
			"less output, or raise the client's timeout."}
	errInvalidResponse = &Error{Status: http.StatusBadGateway, Code: "upstream_invalid_response",
		RetryAfter: 500 * time.Millisecond,
		Msg:        "The API returned an invalid HTTP status code. Retry the request."}
	// ErrInterrupted is the error for a response that was truncated before the client
	// had any of it.
	ErrInterrupted = &Error{Status: http.StatusBadGateway, Code: "upstream_interrupted",
		RetryAfter: 500 * time.Millisecond,
		Msg: "The API closed the connection in the middle of this response, so it is incomplete. " +
			"Retry the request."}
	errIdle = &Error{Status: http.StatusGatewayTimeout, Code: "upstream_idle_timeout",
		Msg: "The API stopped sending in the middle of this response, so it is incomplete. Retry the request."}

	// Variants of the errors above for when other relays are in between, as this one
	// cannot tell whether one of them or the API failed. See ofUpstream.
	errUpstreamConnect = &Error{Status: http.StatusBadGateway, Code: "upstream_connect",
		RetryAfter: 500 * time.Millisecond,
		Msg: "This relay could not connect to its upstream, so nothing was sent. Retry in a moment; if that does " +
			"not help, run relay check."}
	errUpstreamReset = &Error{Status: http.StatusBadGateway, Code: "upstream_reset",
		RetryAfter: 500 * time.Millisecond,
		Msg: "An upstream of this relay closed the connection, or stopped responding, before its response began. " +
			"The request may have been processed. Retry it: an upstream that is down is not used."}
	errUpstreamTimeout = &Error{Status: http.StatusGatewayTimeout, Code: "client_timeout",
		Msg: "The upstream of this relay did not respond within this client's timeout, so the relay cancelled the " +
			"request. Request less output, or raise the client's timeout."}
	errUpstreamInvalid = &Error{Status: http.StatusBadGateway, Code: "upstream_invalid_response",
		RetryAfter: 500 * time.Millisecond,
		Msg:        "An upstream of this relay returned an invalid HTTP status code. Retry the request."}
	errUpstreamInterrupted = &Error{Status: http.StatusBadGateway, Code: "upstream_interrupted",
		RetryAfter: 500 * time.Millisecond,
		Msg: "An upstream of this relay closed the connection in the middle of this response, so it is incomplete. " +
			"Retry the request."}
	errUpstreamIdle = &Error{Status: http.StatusGatewayTimeout, Code: "upstream_idle_timeout",
		Msg: "An upstream of this relay stopped sending in the middle of this response, so it is incomplete. Retry " +
			"the request."}

	errStreamLimit = &Error{Status: http.StatusGatewayTimeout, Code: "stream_limit", NoRetry: true,
		Msg: "This response reached the max duration that this relay's operator set in RELAY_MAX_STREAM_TIME, so it " +
			"is incomplete."}
	errDeadline = &Error{Status: http.StatusGatewayTimeout, Code: "relay_deadline", NoRetry: true,
		Msg: "This response reached the platform's timeout, so it is incomplete. Request a shorter response, or " +
			"have the operator raise the function's timeout."}
	errShutdown = &Error{Status: http.StatusServiceUnavailable, Code: "relay_shutdown", RetryAfter: time.Second,
		Msg: "This relay is shutting down, so the response is incomplete. Retry the request."}

	errMisconfigured = &Error{Status: http.StatusInternalServerError, Code: "relay_misconfigured", NoRetry: true,
		Msg: "This relay's configuration is invalid, so it forwards nothing. Its log has the reason."}
	// ErrInternal is the error for a request whose handler panicked.
	ErrInternal = &Error{Status: http.StatusInternalServerError, Code: "relay_internal_error",
		Msg: "This relay failed while it handled the request. Its log has the details under the request id."}
)

// naming returns a copy of e, caused by err, whose message goes on with intro and
// the error of each upstream.
func (e *Error) naming(err *failover.Error, intro string) *Error {
	named := e.because(err)
	named.Msg += intro + err.Summary() + "."
	return named
}

// ofUpstream returns the variant of e that blames an upstream in place of the API,
// and names it unless name is empty; or e if it has none.
func (e *Error) ofUpstream(name string) *Error {
	for _, other := range []*Error{
		errUpstreamConnect, errUpstreamReset, errUpstreamTimeout, errUpstreamInvalid, errUpstreamInterrupted,
		errUpstreamIdle,
	} {
		if other.Code != e.Code {
			continue
		}
		said := other.because(e.Err)
		if name != "" {
			said.Msg += " The upstream was " + name + "."
		}
		return said
	}
	return e
}

// errClientGone is the error of a request whose client disconnected. It is logged
// as 499 and counts against no upstream.
var errClientGone = errors.New("client_gone")

// errorFields are the members of the API's errors.
type errorFields struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    string  `json:"code"`
}

func (e *Error) fields() errorFields {
	return errorFields{Message: e.Msg, Type: "relay_error", Code: e.Code}
}

// body returns e as api.openai.com writes its errors.
func (e *Error) body() []byte { return encodeJSON(map[string]errorFields{"error": e.fields()}) }

// frame returns e as an event of an event stream; no [DONE] follows. Where the API has an
// error event of its own, it is also in that format, so that SDKs show its message;
// Anthropic's ignore events without a name. The sequence number is always 0.
func (e *Error) frame(shape eventShape) string {
	var event []byte
	switch fields := e.fields(); shape {
	case responsesEvents:
		event = encodeJSON(struct {
			Type           string      `json:"type"`
			SequenceNumber int         `json:"sequence_number"`
			Code           string      `json:"code"`
			Message        string      `json:"message"`
			Param          *string     `json:"param"`
			Error          errorFields `json:"error"`
		}{Type: "error", Code: e.Code, Message: e.Msg, Error: fields})
	case messagesEvents:
		fields.Type = "api_error"
		return "event: error\ndata: " + string(encodeJSON(struct {
			Type  string      `json:"type"`
			Error errorFields `json:"error"`
		}{"error", fields})) + "\n\n"
	default:
		event = e.body()
	}
	return "data: " + string(event) + "\n\n"
}

// encodeJSON returns v, which can be encoded, on one line.
func encodeJSON(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // for people: messages hold <token>
	_ = enc.Encode(v)        // a buffer takes everything
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// ServeHTTP responds to req with e. Nothing of a response may have been sent yet.
func (e *Error) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	rec := recordOf(req)
	rec.fail(e)

	h := w.Header()
	if h.Get(protocol.Marker) == "" { // an adapter's response, outside of the stages
		h.Set(protocol.Marker, protocol.RelayMarker("relay"))
	}
	if rec.id == "" {
		rec.id = requestID()
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Request-Id", rec.id)
	h.Set(protocol.ErrorCode, e.Code)
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
	case http.StatusUpgradeRequired:
		// Clients fall back to HTTP at once, as Codex CLI does (RFC 9110, section
		// 15.5.22). A 404 they retry for seconds.
		h.Set("Upgrade", "websocket")
		h.Set("Connection", "Upgrade")
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer") // RFC 9110, section 11.6.1
	}
	body := e.body()
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(e.Status)
	if req.Method != http.MethodHead {
		// If that fails, the client is gone.
		_, _ = w.Write(body)
	}
}

// writeError responds with err, which is an *Error or wraps one; anything else is
// an internal error.
func writeError(w http.ResponseWriter, req *http.Request, err error) {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = ErrInternal.because(err)
	}
	e.ServeHTTP(w, req)
}
