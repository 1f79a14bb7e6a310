package core

import (
	"context"
	"errors"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// deadlineMargin is how long before a platform's deadline an answer is ended:
// a kill by the platform may look like a clean end.
const deadlineMargin = 1500 * time.Millisecond

// An exchange sends requests to the upstream and hands the answers on. It is
// the end of the line: what it is given has been admitted and is within the
// limits.
type exchange struct {
	upstream  *url.URL // base URL, its path without a trailing slash
	mayRelay  bool     // the upstream may be a relay: count hops
	transport http.RoundTripper
	touch     func() // tells the transport that bytes came
	upgrade   *upgrade
	closing   context.Context // done when streams must end

	hidesCuts bool // the platform does

	idleTimeout, maxTime, keepalive, writeTimeout time.Duration // 0: none
	marker                                        string        // X-Relay of the upstream's answers
}

func newExchange(cfg Config, upstream *url.URL, closing context.Context) *exchange {
	transport, touch := cfg.Transport, func() {}
	if transport == nil {
		t := newThawingTransport(cfg)
		transport, touch = t, t.touch
	}
	x := &exchange{
		upstream:     upstream,
		mayRelay:     !isOfficial(upstream.Hostname()),
		transport:    transport,
		touch:        touch,
		closing:      closing,
		hidesCuts:    cfg.Platform.HidesCuts,
		idleTimeout:  cfg.IdleTimeout,
		maxTime:      cfg.MaxStreamTime,
		keepalive:    cfg.Keepalive,
		writeTimeout: cfg.WriteTimeout,
		marker:       cfg.Name + "; origin=upstream",
	}
	x.upgrade = newUpgrade(x, cfg.Platform.NoWebSocket)
	return x
}

// isOfficial reports whether host is one of OpenAI's own, which are no relays
// and have no use for a hop count.
func isOfficial(host string) bool {
	host = strings.ToLower(host)
	return host == "api.openai.com" || strings.HasSuffix(host, ".api.openai.com")
}

func (x *exchange) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if isWebSocket(req) {
		x.upgrade.ServeHTTP(w, req)
		return
	}
	ctx, cancel := x.bounded(req.Context())
	defer cancel(nil)

	a := &attempt{req: req, body: newReplayBody(req)}
	rc := http.NewResponseController(w)
	defer a.body.close(rc)
	if a.body != nil {
		// Without it, net/http closes the request body when the answer begins,
		// while the transport may still look whether there is more of it; the
		// transport would then break the answer off. Only HTTP/1 needs it.
		_ = rc.EnableFullDuplex()
	}
	res, err := x.send(ctx, a)
	if !a.body.done() {
		// net/http cannot read on to the next request behind a body that it was
		// told to leave alone: it would read twice at a time, and panic.
		w.Header()["Connection"] = []string{"close"}
	}
	if err != nil {
		x.fail(ctx, w, a, err)
		return
	}
	defer res.Body.Close()
	a.body.forget()
	if res.StatusCode < 200 || res.StatusCode > 599 {
		writeError(w, req, errInvalidResponse)
		return
	}
	if err := x.hold(cancel, res); err != nil {
		x.refuse(w, req, x.explainCut(ctx, req, err))
		return
	}
	if err := x.answer(ctx, cancel, w, a, res); err != nil {
		recordOf(req).fail(err)
		if !req.ProtoAtLeast(1, 1) && !isEventStream(res.Header) {
			reset(w)
		}
		panic(http.ErrAbortHandler)
	}
}

// bounded returns a context that ends with the time limits of an exchange, its
// cause being the *Error to end it with.
func (x *exchange) bounded(parent context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	stops := []func() bool{context.AfterFunc(x.closing, func() { cancel(errShutdown) })}
	if x.maxTime > 0 {
		stops = append(stops, time.AfterFunc(x.maxTime, func() { cancel(errStreamLimit) }).Stop)
	}
	if deadline, ok := parent.Deadline(); ok {
		stops = append(stops, time.AfterFunc(time.Until(deadline)-deadlineMargin, func() { cancel(errDeadline) }).Stop)
	}
	return ctx, func(cause error) {
		for _, stop := range stops {
			stop()
		}
		cancel(cause)
	}
}

// An attempt is what is known of one sending of a request.
type attempt struct {
	req  *http.Request
	body *replayBody // nil if there is none

	connections atomic.Int32 // that were had, so something may have been sent
	reused      atomic.Bool  // the last one came out of the pool
	wrote       atomic.Bool  // a header was written to one, if only to its buffer
}

// maxConnections is how many connections net/http may try for one request. It
// takes another where it knows that the upstream did nothing, without a limit of
// its own for HTTP/2.
const maxConnections = 3

// unsent reports whether a pooled connection was had and nothing written.
func (a *attempt) unsent() bool { return a.reused.Load() && !a.wrote.Load() }

// count returns how often the request was tried: once for each connection, and
// once if there was none to be had.
func (a *attempt) count() int { return max(1, int(a.connections.Load())) }

// send sends the request and returns the upstream's answer.
func (x *exchange) send(ctx context.Context, a *attempt) (*http.Response, error) {
	ctx = a.traced(ctx)
	defer func() { recordOf(a.req).attempts += a.count() }()
	res, err := x.transport.RoundTrip(x.outbound(ctx, a))
	if err != nil && a.unsent() && ctx.Err() == nil && a.body.rewind() {
		// The pooled connection was closed in the instant in which it was taken.
		res, err = x.transport.RoundTrip(x.outbound(ctx, a))
	}
	return res, err
}

// traced returns a context that tells a of its connections, and ends with the
// one that is too many.
func (a *attempt) traced(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			a.reused.Store(info.Reused)
			if info.Reused {
				checkBeforeWrite(info.Conn)
			}
			if a.connections.Add(1) > maxConnections {
				cancel(errReset)
			}
		},
		WroteHeaders: func() { a.wrote.Store(true) },
	})
}

// outbound returns the request to the upstream, built from scratch: nothing of
// the client's gets in but what is copied here.
func (x *exchange) outbound(ctx context.Context, a *attempt) *http.Request {
	req := a.req
	out := &http.Request{
		Method:     req.Method,
		URL:        x.outboundURL(req.URL),
		Host:       x.upstream.Host,
		Header:     x.outboundHeader(req),
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
	}
	if a.body != nil {
		out.Body = a.body.open()
		out.GetBody = a.body.reopen
		out.ContentLength = req.ContentLength
	}
	return out.WithContext(ctx)
}

// outboundURL returns the upstream's URL for u: the path as it was escaped,
// the query to the letter.
func (x *exchange) outboundURL(u *url.URL) *url.URL {
	out := &url.URL{
		Scheme:     x.upstream.Scheme,
		Host:       x.upstream.Host,
		Path:       x.upstream.Path + u.Path,
		RawQuery:   u.RawQuery,
		ForceQuery: u.ForceQuery,
	}
	if x.upstream.RawPath != "" || u.RawPath != "" {
		out.RawPath = x.upstream.EscapedPath() + u.EscapedPath()
	}
	return out
}

func (x *exchange) outboundHeader(req *http.Request) http.Header {
	h := outboundHeader(req.Header)
	if x.mayRelay {
		setHop(h, req.Header)
	}
	if x.hidesCuts {
		h["Accept-Encoding"] = []string{"identity"}
	}
	return h
}

// fail answers a request that got no answer from the upstream.
func (x *exchange) fail(ctx context.Context, w http.ResponseWriter, a *attempt, err error) {
	x.refuse(w, a.req, x.explain(ctx, a, err))
}

// refuse answers with err, if there is still somebody to answer.
func (x *exchange) refuse(w http.ResponseWriter, req *http.Request, err error) {
	if errors.Is(err, errClientGone) {
		recordOf(req).fail(err)
		panic(http.ErrAbortHandler)
	}
	writeError(w, req, err)
}

// explain returns why RoundTrip failed: the relay's own reasons first, then the
// client's, then the upstream's.
func (x *exchange) explain(ctx context.Context, a *attempt, err error) error {
	if cause, ok := errors.AsType[*Error](context.Cause(ctx)); ok {
		return cause
	}
	bodyErr := a.body.failure()
	switch {
	case bodyErr != nil && !errors.Is(bodyErr, errBodyIncomplete):
		return bodyErr
	case a.req.Context().Err() != nil:
		return errClientGone
	case bodyErr != nil:
		return bodyErr
	case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE):
		return errOverloaded.because(err)
	case a.connections.Load() == 0:
		return errConnect.because(err)
	}
	return errReset.because(err)
}

// answer hands res on. Its error, an *Error or errClientGone, means that the
// answer has begun and is not complete.
func (x *exchange) answer(ctx context.Context, cancel context.CancelCauseFunc, w http.ResponseWriter, a *attempt, res *http.Response) error {
	h := w.Header()
	copyAnswer(h, res.Header)
	h["X-Relay"] = []string{x.marker}
	x.mendLocation(h, res.StatusCode)
	events := isEventStream(res.Header)
	if events {
		prepareStream(h)
	}
	s := &stream{
		w:            w,
		rc:           http.NewResponseController(w),
		touch:        x.touch,
		cancel:       cancel,
		idleTimeout:  x.idleTimeout,
		writeTimeout: x.writeTimeout,
		buffers:      &bodyBuffers,
	}
	if events {
		s.buffers, s.keepalive = &eventBuffers, x.keepalive
	}
	s.begin(res.StatusCode)
	err := s.copy(res.Body)
	if err == nil {
		return nil
	}
	err = x.explainCut(ctx, a.req, err)
	if e, ok := errors.AsType[*Error](err); ok && events {
		s.writeFrame(e)
	}
	return err
}

// reset breaks the client's connection by a reset. In HTTP/1.0 an answer
// without a length ends with the connection, so that an orderly close would
// make a cut answer whole. An event stream has its error event, which a reset
// could overtake.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // not HTTP/1 after all
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	conn.Close()
}

// explainCut returns why an answer broke off.
func (x *exchange) explainCut(ctx context.Context, req *http.Request, err error) error {
	cause := context.Cause(ctx)
	if e, ok := errors.AsType[*Error](cause); ok {
		return e
	}
	if req.Context().Err() != nil || errors.Is(err, errClientGone) || errors.Is(cause, errClientGone) {
		return errClientGone
	}
	return ErrInterrupted.because(err)
}

// mendLocation makes a redirection within the upstream's host lead to the
// relay's, and takes away one that leads elsewhere: a client following it would
// take its access token along.
func (x *exchange) mendLocation(h http.Header, status int) {
	locations := h["Location"]
	if len(locations) == 0 || status < 300 || status > 399 {
		return
	}
	h.Del("Location")
	u, err := url.Parse(locations[0])
	if err != nil || len(locations) > 1 || u.Opaque != "" {
		return
	}
	if u.Scheme != "" && u.Host == "" || u.Host != "" && !strings.EqualFold(u.Host, x.upstream.Host) {
		return
	}
	u.Scheme, u.Host, u.User = "", "", nil
	// What is left must be a path in the eyes of every client.
	if checkPath("/"+strings.TrimPrefix(u.EscapedPath(), "/")) == nil {
		h.Set("Location", u.String())
	}
}

// isEventStream reports whether h begins an event stream that the relay can
// write into, which it cannot if it is compressed.
func isEventStream(h http.Header) bool {
	if encoding := h.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return false
	}
	contentType, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return (err == nil || errors.Is(err, mime.ErrInvalidMediaParameter)) && contentType == "text/event-stream"
}
