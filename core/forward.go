package core

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"example.com/relay/core/failover"
	"example.com/relay/core/internal/replay"
	"example.com/relay/core/protocol"
)

// A forwarder forwards requests to the upstream and responses to the client. It
// is the innermost handler: requests reach it only after access and limits.
type forwarder struct {
	pool *failover.Pool
	open inFlight // exchanges under way

	hidesCuts   bool // the platform does
	noWebSocket bool // the platform has none

	idleTimeout, maxTime, keepalive, writeTimeout time.Duration // 0: none

	relayMarker, upstreamMarker []string // X-Relay of responses; not to be changed
}

func newForwarder(cfg Config, pool *failover.Pool) *forwarder {
	return &forwarder{
		pool:           pool,
		hidesCuts:      cfg.Platform.HidesCuts,
		noWebSocket:    cfg.Platform.NoWebSocket,
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
// serves the request.
type exchange struct {
	*forwarder
	deadlines

	// ctx ends with the exchange, its deadlines and the relay; the cause is the
	// *Error to end it with. cancel ends it.
	ctx    context.Context
	cancel context.CancelCauseFunc

	w    http.ResponseWriter
	req  *http.Request   // the client's
	body *replay.Body    // of the request; nil if there is none
	res  *http.Response  // the upstream's
	sent failover.Result // how the request was sent
}

// forward sends the request and copies the response to the client. It panics
// with [http.ErrAbortHandler] if a response has begun and cannot be completed.
func (x *exchange) forward() {
	x.openBody()
	defer x.closeBody()
	if err := x.send(); err != nil {
		x.refuse(x.upstreamError(err))
		return
	}
	defer x.res.Body.Close()
	x.body.Forget()
	if x.res.StatusCode < 200 || x.res.StatusCode > 599 {
		writeError(x.w, x.req, errInvalidResponse)
		return
	}
	if err := x.bufferResponse(); err != nil {
		x.refuse(x.interruption(err))
		return
	}
	if err := x.respond(); err != nil {
		recordOf(x.req).fail(err)
		if !x.req.ProtoAtLeast(1, 1) && !isEventStream(x.res.Header) {
			reset(x.w)
		}
		panic(http.ErrAbortHandler)
	}
}

// openBody prepares the request's body to be sent, perhaps several times.
func (x *exchange) openBody() {
	if !hasBody(x.req) {
		return
	}
	x.body = replay.New(x.req.Body, x.req.ContentLength)
	// Otherwise net/http closes the request's body when the response begins, while
	// the transport may still check whether there is more of it; the transport
	// would then cut the response. Only HTTP/1 needs it.
	_ = controller(x.w).EnableFullDuplex()
}

func (x *exchange) closeBody() { x.body.Close(controller(x.w)) }

// send sends the request upstream, for as long as the client says it waits.
func (x *exchange) send() error {
	patience := startPatience(x.req.Header, x.cancel)
	var err error
	x.res, x.sent, err = x.pool.Send(x.outbound())
	patience.Stop()
	recordOf(x.req).sent(x.sent)
	if !x.body.Done() {
		// net/http cannot read on to the next request after a body that it was told
		// to leave alone: it would read in two places at a time, and panic.
		x.w.Header()["Connection"] = []string{"close"}
	}
	x.describe()
	return err
}

// outbound returns the request to the upstream, built from scratch: nothing of
// the client's gets in but what is copied here. The pool puts in the host.
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

// outboundURL returns what of u is forwarded: the path as it was escaped, and the
// query verbatim.
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

// refuse responds with err, or aborts if the client is gone.
func (x *exchange) refuse(err error) {
	if errors.Is(err, errClientGone) {
		recordOf(x.req).fail(err)
		panic(http.ErrAbortHandler)
	}
	writeError(x.w, x.req, err)
}

// reset breaks the client's connection by a TCP reset. In HTTP/1.0 a response
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
