package core

import (
	"context"
	"errors"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"example.com/relay/core/failover"
	"example.com/relay/core/internal/replay"
)

// deadlineMargin is how long before a platform's deadline an answer is ended:
// a kill by the platform may look like a clean end.
const deadlineMargin = 1500 * time.Millisecond

// An exchange sends requests to the upstream and hands the answers on. It is
// the end of the line: what it is given has been admitted and is within the
// limits.
type exchange struct {
	pool    *failover.Pool
	upgrade *upgrade
	open    openExchanges

	hidesCuts bool // the platform does

	idleTimeout, maxTime, keepalive, writeTimeout time.Duration // 0: none

	ownMarker, upstreamMarker []string // X-Relay of answers; not to be changed
}

func newExchange(cfg Config, pool *failover.Pool) *exchange {
	x := &exchange{
		pool:         pool,
		hidesCuts:    cfg.Platform.HidesCuts,
		idleTimeout:  cfg.IdleTimeout,
		maxTime:      cfg.MaxStreamTime,
		keepalive:    cfg.Keepalive,
		writeTimeout: cfg.WriteTimeout,

		ownMarker:      []string{cfg.Name + "; origin=relay"},
		upstreamMarker: []string{cfg.Name + "; origin=upstream"},
	}
	x.upgrade = newUpgrade(x, cfg.Platform.NoWebSocket)
	return x
}

func (x *exchange) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if isWebSocket(req) {
		x.upgrade.ServeHTTP(w, req)
		return
	}
	ctx, b := x.bounded(req.Context())
	defer b.end()
	cancel := b.cancel

	body := replayed(req)
	rc := controller(w)
	defer body.Close(rc)
	if body != nil {
		// Without it, net/http closes the request body when the answer begins,
		// while the transport may still look whether there is more of it; the
		// transport would then break the answer off. Only HTTP/1 needs it.
		_ = rc.EnableFullDuplex()
	}
	patience := x.patience(req, cancel)
	res, sent, err := x.send(ctx, req, body)
	patience.Stop()
	if !body.Done() {
		// net/http cannot read on to the next request behind a body that it was
		// told to leave alone: it would read twice at a time, and panic.
		w.Header()["Connection"] = []string{"close"}
	}
	x.describe(w.Header(), sent)
	if err != nil {
		x.refuse(w, req, x.explain(ctx, req, body, err))
		return
	}
	defer res.Body.Close()
	body.Forget()
	if res.StatusCode < 200 || res.StatusCode > 599 {
		writeError(w, req, errInvalidResponse)
		return
	}
	if err := x.hold(cancel, res); err != nil {
		x.refuse(w, req, x.explainCut(ctx, req, err))
		return
	}
	if err := x.answer(ctx, cancel, w, req, res, sent); err != nil {
		recordOf(req).fail(err)
		if !req.ProtoAtLeast(1, 1) && !isEventStream(res.Header) {
			reset(w)
		}
		panic(http.ErrAbortHandler)
	}
}

// bounded returns a context that ends with the time limits of an exchange and
// with the relay, its cause being the *Error to end it with; and what ends it
// with the exchange.
func (x *exchange) bounded(parent context.Context) (context.Context, *bound) {
	ctx, cancel := context.WithCancelCause(parent)
	b := &bound{cancel: cancel, of: &x.open}
	x.open.add(b)
	if x.maxTime > 0 {
		b.limit = time.AfterFunc(x.maxTime, func() { cancel(errStreamLimit) })
	}
	if deadline, ok := parent.Deadline(); ok {
		b.deadline = time.AfterFunc(time.Until(deadline)-deadlineMargin, func() { cancel(errDeadline) })
	}
	return ctx, b
}

// A bound is what may end an exchange early.
type bound struct {
	cancel          context.CancelCauseFunc
	limit, deadline *time.Timer // nil: none
	of              *openExchanges
}

// end ends the exchange for good.
func (b *bound) end() {
	for _, timer := range []*time.Timer{b.limit, b.deadline} {
		if timer != nil {
			timer.Stop()
		}
	}
	b.of.remove(b)
	b.cancel(nil)
}

// openExchanges are those under way.
type openExchanges struct {
	mu     sync.Mutex
	all    map[*bound]struct{}
	closed bool
}

func (o *openExchanges) add(b *bound) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		b.cancel(errShutdown)
		return
	}
	if o.all == nil {
		o.all = make(map[*bound]struct{})
	}
	o.all[b] = struct{}{}
}

func (o *openExchanges) remove(b *bound) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.all, b)
}

// close ends all exchanges, and those that come later.
func (o *openExchanges) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for b := range o.all {
		b.cancel(errShutdown)
	}
}

// replayed returns req's body as one that can be sent again, or nil if it has
// none.
func replayed(req *http.Request) *replay.Body {
	if !hasBody(req) {
		return nil
	}
	return replay.New(req.Body, req.ContentLength)
}

// send sends the request and returns the upstream's answer.
func (x *exchange) send(ctx context.Context, req *http.Request, body *replay.Body) (*http.Response, failover.Result, error) {
	res, sent, err := x.pool.Send(x.outbound(ctx, req, body))
	recordOf(req).sent(sent)
	return res, sent, err
}

// outbound returns the request to the upstream, built from scratch: nothing of
// the client's gets in but what is copied here. The pool puts in the host.
func (x *exchange) outbound(ctx context.Context, req *http.Request, body *replay.Body) *http.Request {
	out := new(http.Request).WithContext(ctx)
	out.Method, out.URL, out.Header = req.Method, outboundURL(req.URL), x.outboundHeader(req)
	out.Proto, out.ProtoMajor, out.ProtoMinor = "HTTP/1.1", 1, 1
	if body != nil {
		out.Body = body.Open()
		out.GetBody = body.Reopen
		out.ContentLength = req.ContentLength
	}
	return out
}

// outboundURL returns of u what goes up: the path as it was escaped, the query
// to the letter.
func outboundURL(u *url.URL) *url.URL {
	return &url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery, ForceQuery: u.ForceQuery}
}

func (x *exchange) outboundHeader(req *http.Request) http.Header {
	h := outboundHeader(req.Header)
	if x.pool.MayRelay() {
		setHop(h, req.Header)
	}
	if x.hidesCuts {
		h["Accept-Encoding"] = []string{"identity"}
	}
	return h
}

// describe says on an answer how the request was sent, where there was a choice.
func (x *exchange) describe(h http.Header, sent failover.Result) {
	if sent.Several && sent.Attempts > 0 {
		h["X-Relay-Attempts"] = []string{strconv.Itoa(sent.Attempts)}
		h["X-Relay-Upstream"] = []string{sent.Upstream}
	}
}

// patience returns the timer that ends an exchange when its client has given it
// up: official SDKs say how long they wait for an answer to begin, in seconds
// (openai-node and openai-go, X-Stainless-Timeout; openai-python,
// X-Stainless-Read-Timeout). Platforms do not tell that a client is gone.
func (x *exchange) patience(req *http.Request, cancel context.CancelCauseFunc) idleTimer {
	for _, name := range []string{"X-Stainless-Timeout", "X-Stainless-Read-Timeout"} {
		value := req.Header.Get(name)
		if value == "" {
			continue
		}
		seconds, err := strconv.ParseFloat(value, 64)
		if err == nil && seconds >= 1 && seconds < maxPatience.Seconds() {
			return idleTimer{time.AfterFunc(time.Duration(seconds*float64(time.Second)), func() { cancel(errClientTimeout) })}
		}
	}
	return idleTimer{}
}

// maxPatience is more than any request takes.
const maxPatience = 24 * time.Hour

// refuse answers with err, if there is still somebody to answer.
func (x *exchange) refuse(w http.ResponseWriter, req *http.Request, err error) {
	if errors.Is(err, errClientGone) {
		recordOf(req).fail(err)
		panic(http.ErrAbortHandler)
	}
	writeError(w, req, err)
}

// explain returns why there is no answer: the relay's own reasons first, then
// the client's, then the upstreams'.
func (x *exchange) explain(ctx context.Context, req *http.Request, body *replay.Body, err error) error {
	if cause, ok := errors.AsType[*Error](context.Cause(ctx)); ok {
		return cause
	}
	if req.Context().Err() != nil {
		body.Settle()
	}
	bodyErr := body.Failure()
	switch {
	case errors.Is(bodyErr, replay.ErrPanic):
		return ErrInternal.because(bodyErr)
	case bodyErr != nil && !errors.Is(bodyErr, errBodyIncomplete):
		return bodyErr
	case req.Context().Err() != nil:
		return errClientGone
	case bodyErr != nil:
		return bodyErr
	case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE):
		return errOverloaded.because(err)
	}
	unsent, ok := errors.AsType[*failover.Error](err)
	switch {
	case !ok:
		return errReset.because(err)
	case unsent.Ambiguous && strings.HasPrefix(unsent.Last(), "platform_"):
		return errPlatform.because(err)
	case unsent.Ambiguous:
		return errReset.because(err)
	case x.pool.Several():
		return allFailed(unsent)
	}
	return errConnect.because(err)
}

// answer hands res on. Its error, an *Error or errClientGone, means that the
// answer has begun and is not complete.
func (x *exchange) answer(ctx context.Context, cancel context.CancelCauseFunc, w http.ResponseWriter, req *http.Request, res *http.Response, sent failover.Result) error {
	h := w.Header()
	copyAnswer(h, res.Header)
	h["X-Relay"] = x.marker(res.Header)
	mendLocation(h, res.StatusCode, sent.Base.Host)
	events := isEventStream(res.Header)
	if events {
		prepareStream(h)
	}
	s := &stream{
		w:            w,
		rc:           controller(w),
		cancel:       cancel,
		idleTimeout:  x.idleTimeout,
		writeTimeout: x.writeTimeout,
		buffers:      &bodyBuffers,
	}
	if s.events = events; events {
		s.buffers, s.keepalive = &eventBuffers, x.keepalive
	}
	s.whole = isWhole(res)
	s.short = !events && res.ContentLength >= 0 && res.ContentLength <= bodyBufferSize
	s.begin(res.StatusCode)
	panicked := true
	defer func() {
		if panicked && events {
			s.writeFrame(ErrInternal) // a broken end alone may look like a clean one
		}
	}()
	err := s.copy(res.Body)
	panicked = false
	if err == nil {
		recordOf(req).undone = events && !s.isDone()
		return nil
	}
	err = x.explainCut(ctx, req, err)
	if e, ok := errors.AsType[*Error](err); ok && events {
		s.writeFrame(e)
	}
	return err
}

// isWhole reports whether all of an answer has come with its header, as short
// ones do.
func isWhole(res *http.Response) bool {
	body, ok := res.Body.(interface{ Whole(length int64) bool })
	return ok && body.Whole(res.ContentLength)
}

// marker returns the X-Relay header of an upstream's answer. One that a relay
// behind this one made itself remains a relay's.
func (x *exchange) marker(answer http.Header) []string {
	if strings.Contains(answer.Get("X-Relay"), "origin=relay") {
		return x.ownMarker
	}
	return x.upstreamMarker
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
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return ErrInterrupted.because(err)
}

// mendLocation makes a redirection within the upstream's host lead to the
// relay's, and takes away one that leads elsewhere: a client following it would
// take its access token along.
func mendLocation(h http.Header, status int, host string) {
	locations := h["Location"]
	if len(locations) == 0 || status < 300 || status > 399 {
		return
	}
	h.Del("Location")
	u, err := url.Parse(locations[0])
	if err != nil || len(locations) > 1 || u.Opaque != "" {
		return
	}
	if u.Scheme != "" && u.Host == "" || u.Host != "" && !strings.EqualFold(u.Host, host) {
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
	return mediaType(h) == "text/event-stream"
}

// mediaType returns the media type of what h describes, or "" if it is not to
// be made out.
func mediaType(h http.Header) string {
	value := h.Get("Content-Type")
	switch value {
	case "application/json", "text/event-stream": // nearly all, as they are
		return value
	}
	mediaType, _, err := mime.ParseMediaType(value)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return ""
	}
	return mediaType
}
