package core

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"example.com/relay/core/failover"
	"example.com/relay/core/internal/apikey"
	"example.com/relay/core/internal/replay"
	"example.com/relay/core/protocol"
)

// A forwarder forwards requests to the upstream and responses to the client. It
// is the innermost handler: requests reach it only after access and limits.
type forwarder struct {
	pool     *failover.Pool
	inFlight inFlight

	holdsKey    bool // Config.APIKey is set
	hidesCuts   bool // see [Platform]
	noWebSocket bool
	logUsage    bool

	// 0 means none:
	idleTimeout, maxTime, keepalive, writeTimeout time.Duration

	relayMarker, upstreamMarker []string // values of X-Relay, shared by all responses: read-only
}

func newForwarder(cfg Config, pool *failover.Pool) *forwarder {
	return &forwarder{
		pool:           pool,
		holdsKey:       cfg.APIKey != "",
		hidesCuts:      cfg.Platform.HidesCuts,
		noWebSocket:    cfg.Platform.NoWebSocket,
		logUsage:       cfg.LogUsage,
		idleTimeout:    cfg.IdleTimeout,
		maxTime:        cfg.MaxStreamTime,
		keepalive:      cfg.Keepalive,
		writeTimeout:   cfg.WriteTimeout,
		relayMarker:    []string{protocol.RelayMarker(cfg.Name)},
		upstreamMarker: []string{protocol.UpstreamMarker(cfg.Name)},
	}
}

func (f *forwarder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	x := &exchange{forwarder: f, w: w, req: req}
	x.begin()
	defer x.end()
	if isWebSocket(req) {
		x.upgrade()
		return
	}
	x.forward()
}

// An exchange is one request and its response. It belongs to the goroutine that
// serves the request, except for ctx and cancel, which timers, inFlight and the
// transport use too.
type exchange struct {
	*forwarder
	deadlines

	// ctx is cancelled by the client's leaving, and by deadlines and Shutdown with
	// the *Error to report as its cause.
	ctx    context.Context
	cancel context.CancelCauseFunc

	w        http.ResponseWriter
	req      *http.Request   // the client's
	patience *clientTimeout  // for the response to begin; nil: unknown
	body     *replay.Body    // of the request; nil if there is none
	res      *http.Response  // the upstream's
	sent     failover.Result // how the request was sent
	unheld   error           // why the response cannot be held back, though it must be

	refused bool // the API refused the region, and there is a gateway to be told
}

// forward sends the request and copies the response to the client. It panics
// with [http.ErrAbortHandler] if a response has begun and cannot be completed.
func (x *exchange) forward() {
	x.patience = startClientTimeout(x.req, x.cancel)
	defer x.patience.end()
	x.openBody()
	defer x.closeBody()
	if err := x.send(); err != nil {
		x.refuse(x.upstreamError(err))
		return
	}
	defer x.res.Body.Close()
	x.body.Forget()
	if !isFinalStatus(x.res.StatusCode) {
		writeError(x.w, x.req, x.blaming(errInvalidResponse))
		return
	}
	if x.unheld != nil {
		x.refuse(x.unheld)
		return
	}
	rec := recordOf(x.req)
	if err := x.respond(); err != nil {
		rec.fail(err)
		if !x.req.ProtoAtLeast(1, 1) && !isEventStream(x.res.Header) {
			reset(x.w)
		}
		panic(http.ErrAbortHandler)
	}
}

// openBody prepares the request's body to be sent, possibly more than once.
func (x *exchange) openBody() {
	if !hasBody(x.req) {
		return
	}
	x.body = replay.New(x.patience.watch(x.req.Body), x.req.ContentLength)
	// Without it, net/http closes the request's body when the response begins, while
	// the transport may still be reading it; the transport would then truncate the
	// response. Only HTTP/1 needs it.
	_ = controller(x.w).EnableFullDuplex()
}

func (x *exchange) closeBody() { x.body.Close(controller(x.w)) }

// send sends the request and sets res and sent. It gives up when the client's own
// timeout has passed.
func (x *exchange) send() error {
	var err error
	route := x.route()
	route.Hold = x.hold
	x.res, x.sent, err = x.pool.Send(x.outbound(), route)
	x.patience.end()
	recordOf(x.req).sent(x.sent)
	x.lookForRefusal(x.res)
	if !x.body.Done() {
		// In full-duplex mode, net/http cannot skip an unread body to get to the next
		// request: two goroutines would read the connection, and it would panic.
		x.w.Header()["Connection"] = []string{"close"}
	}
	x.setUpstreamHeaders()
	return err
}

// hold reads res as far as it is held back, before it counts as a response. An error
// says that it was truncated.
func (x *exchange) hold(res *http.Response) error {
	if !isFinalStatus(res.StatusCode) {
		return nil // which is refused
	}
	if succeeded := res.StatusCode <= 299; succeeded {
		recordOf(x.req).usageUnknown = x.takesTokens() // until the body says it
	}
	err := x.bufferResponse(res)
	if errors.Is(err, errBufferMemory) {
		x.unheld, err = errOverloaded.because(err), nil
	}
	return err
}

// isFinalStatus reports whether a response may have a status.
func isFinalStatus(status int) bool { return status >= 200 && status <= 599 }

// lookForRefusal sets refused, if a gateway is to be told. res may be nil.
func (x *exchange) lookForRefusal(res *http.Response) {
	x.refused = res != nil && protocol.Hops(x.req.Header) > 0 && x.pool.RefusesRegion(x.ctx, res, x.sent)
}

// route returns where the request may go: where its access token permits, and with the
// client's own key to no upstream that holds one.
func (x *exchange) route() (route failover.Route) {
	if g := recordOf(x.req).grant; g != nil {
		route.Upstreams = g.Upstreams
	}
	if !x.holdsKey && apikey.IsIn(x.req.Header) {
		route.Key = failover.ClientsKey
	}
	return route
}

// outbound returns the request to the upstream. It is built from scratch, so that
// only what is copied here is forwarded. The pool sets the host.
func (x *exchange) outbound() *http.Request {
	out := new(http.Request).WithContext(x.ctx)
	out.Method, out.URL, out.Header = x.req.Method, outboundURL(x.req.URL), x.outboundHeader()
	out.Proto, out.ProtoMajor, out.ProtoMinor = "HTTP/1.1", 1, 1
	if x.body != nil {
		out.Body = x.body.Open()
		out.GetBody = x.body.Reopen
		out.ContentLength = x.req.ContentLength
	}
	return out
}

// outboundURL returns the part of u that is forwarded: the path with its original
// escaping, and the query verbatim.
func outboundURL(u *url.URL) *url.URL {
	return &url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery, ForceQuery: u.ForceQuery}
}

func (x *exchange) outboundHeader() http.Header {
	h := outboundHeader(x.req.Header)
	if x.pool.MayRelay() {
		setHop(h, x.req.Header)
	}
	if x.hidesCuts {
		h["Accept-Encoding"] = []string{"identity"}
	}
	return h
}

// refuse responds with err, or panics with [http.ErrAbortHandler] if the client is
// gone.
func (x *exchange) refuse(err error) {
	if errors.Is(err, errClientGone) {
		rec := recordOf(x.req)
		rec.usageUnknown = x.takesTokens()
		rec.fail(err)
		panic(http.ErrAbortHandler)
	}
	writeError(x.w, x.req, err)
}

// reset closes the client's connection with a TCP reset. In HTTP/1.0 a response
// without a length ends with the connection, so an orderly close would make a
// truncated one look complete. Event streams are not reset: they end with an
// error event, which a reset could overtake.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // not HTTP/1 after all
	}
	if tcp, ok := conn.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0)
	}
	conn.Close()
}
