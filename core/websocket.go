package core

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/relay/core/protocol"
)

// isWebSocket reports whether req asks for a WebSocket, even if something on its
// way took the Upgrade header out, as function URLs do. Other upgrades, h2c
// above all, are not handed on, so their requests are ordinary ones.
func isWebSocket(req *http.Request) bool {
	return strings.EqualFold(req.Header.Get("Upgrade"), "websocket") || len(req.Header["Sec-Websocket-Key"]) > 0
}

// isUpgrade reports whether req's connection can become a WebSocket (RFC 6455,
// section 4.2.1).
func isUpgrade(req *http.Request) bool {
	if !req.ProtoAtLeast(1, 1) || !strings.EqualFold(req.Header.Get("Upgrade"), "websocket") {
		return false
	}
	for _, value := range req.Header["Connection"] {
		for option := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(option), "upgrade") {
				return true
			}
		}
	}
	return false
}

// upgrade passes a WebSocket connection through. It is httputil's reverse proxy
// under the relay's policies; only the handshake is looked at.
func (x *exchange) upgrade() {
	if x.noWebSocket || !isUpgrade(x.req) || x.req.Method != http.MethodGet {
		writeError(x.w, x.req, errWebSocket)
		return
	}
	rec := recordOf(x.req)
	proxy := &httputil.ReverseProxy{
		FlushInterval:  -1,
		ErrorLog:       log.New(io.Discard, "", 0), // it would quote what it could not parse
		Transport:      roundTripFunc(x.sendUpgrade),
		Rewrite:        x.rewriteUpgrade,
		ModifyResponse: x.checkUpgrade,
		ErrorHandler:   x.refuseUpgrade,
	}
	uw := &upgradeWriter{
		ResponseWriter: x.w, rec: rec, timeout: x.writeTimeout, idle: newSilence(x.idleTimeout, x.cancel),
	}
	defer uw.idle.stop()
	proxy.ServeHTTP(uw, x.req.WithContext(x.ctx))
	if x.res != nil {
		x.res.Body.Close() // the proxy does not if it cannot take over the client's connection
	}
	if e, ok := errors.AsType[*Error](context.Cause(x.ctx)); ok {
		rec.fail(e)
	}
}

// rewriteUpgrade makes the handshake for the upstream.
func (x *exchange) rewriteUpgrade(pr *httputil.ProxyRequest) {
	pr.Out.URL, pr.Out.Host = outboundURL(x.req.URL), ""
	pr.Out.Header = x.outboundHeader()
	pr.Out.Header.Set("Connection", "Upgrade")
	pr.Out.Header.Set("Upgrade", "websocket")
}

// sendUpgrade sends the handshake. The context is the exchange's rather than the
// proxy's, whose trace would forward 1xx responses.
func (x *exchange) sendUpgrade(out *http.Request) (res *http.Response, err error) {
	res, x.sent, err = x.pool.Send(out.WithContext(x.ctx))
	recordOf(x.req).sent(x.sent)
	x.describe()
	if err == nil {
		// The proxy replaces headers and body.
		x.res = &http.Response{StatusCode: res.StatusCode, Header: res.Header, Body: res.Body}
	}
	return res, err
}

// checkUpgrade applies the header policy to the upstream's response.
func (x *exchange) checkUpgrade(res *http.Response) error {
	switched := res.StatusCode == http.StatusSwitchingProtocols
	if !switched && (res.StatusCode < 200 || res.StatusCode > 599) {
		return errInvalidResponse
	}
	h := make(http.Header)
	copyAnswer(h, res.Header)
	if switched {
		recordOf(x.req).status = res.StatusCode
		h["Connection"], h["Upgrade"] = res.Header["Connection"], res.Header["Upgrade"]
	}
	x.mark(h)
	delete(x.w.Header(), protocol.Marker) // the proxy adds what is in h
	res.Header, res.Trailer = h, nil
	return nil
}

// refuseUpgrade responds to a handshake that failed.
func (x *exchange) refuseUpgrade(_ http.ResponseWriter, _ *http.Request, err error) {
	x.w.Header()[protocol.Marker] = x.relayMarker // whatever a response had said
	if e, ok := errors.AsType[*Error](err); ok {
		writeError(x.w, x.req, e)
		return
	}
	x.refuse(x.upstreamError(err))
}

// An upgradeWriter hands out a client's connection that counts, and that does
// not wait for ever for a client which takes nothing.
type upgradeWriter struct {
	http.ResponseWriter
	rec     *record
	timeout time.Duration // for each write; 0: none
	idle    *silence
}

// Unwrap lets [http.ResponseController] reach the server's writer.
func (w *upgradeWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack takes the connection over from the server.
func (w *upgradeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	// The server's deadlines were for the handshake.
	_ = conn.SetDeadline(time.Time{})
	w.idle.start()
	return &upgradedConn{conn, w.rec, w.timeout, w.idle}, rw, nil
}

// An upgradedConn is a client's connection after the handshake.
type upgradedConn struct {
	net.Conn
	rec     *record
	timeout time.Duration
	idle    *silence
}

func (c *upgradedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.rec.bytesIn.Add(int64(n))
	c.idle.heard(n)
	return n, err
}

func (c *upgradedConn) Write(p []byte) (int, error) {
	if c.timeout > 0 {
		_ = c.SetWriteDeadline(time.Now().Add(c.timeout))
	}
	n, err := c.Conn.Write(p)
	c.rec.bytesOut.Add(int64(n))
	c.idle.heard(n)
	return n, err
}

// CloseWrite ends what goes to the client, and lets the client end the rest.
func (c *upgradedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// A silence ends a connection on which no byte came either way for a time. It
// holds one of the relay's places, and perhaps nobody at its ends knows it any more.
type silence struct {
	limit  time.Duration // 0: none
	cancel context.CancelCauseFunc
	last   atomic.Int64 // when a byte came, in nanoseconds since begin
	begin  time.Time

	mu    sync.Mutex
	timer *time.Timer // nil: not begun, or over
}

func newSilence(limit time.Duration, cancel context.CancelCauseFunc) *silence {
	return &silence{limit: limit, cancel: cancel, begin: time.Now()}
}

// heard notes that n bytes came. It sets no timer, as messages may be many.
func (s *silence) heard(n int) {
	if n > 0 && s.limit > 0 {
		s.last.Store(int64(time.Since(s.begin)))
	}
}

func (s *silence) start() {
	if s.limit <= 0 {
		return
	}
	s.heard(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(s.limit, s.look)
}

// look ends the connection if it was silent for long enough, or looks again when
// it will have been.
func (s *silence) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer == nil {
		return
	}
	if left := s.limit - (time.Since(s.begin) - time.Duration(s.last.Load())); left > 0 {
		s.timer.Reset(left)
		return
	}
	s.cancel(errIdle)
}

func (s *silence) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

// A roundTripFunc is a RoundTripper that is a function.
type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
