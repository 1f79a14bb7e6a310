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

// isWebSocket reports whether req asks for a WebSocket, even if something on the way
// removed the Upgrade header, as function URLs do. Other upgrades, such as h2c, are
// not forwarded, so their requests are ordinary ones.
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

// upgrade forwards a WebSocket connection, by httputil's reverse proxy under the
// relay's policies. Only the handshake is inspected.
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
		ResponseWriter: x.w, rec: rec, timeout: x.writeTimeout, idle: newWatchdog(x.idleTimeout, x.cancel),
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

// rewriteUpgrade sets the handshake that the upstream gets.
func (x *exchange) rewriteUpgrade(pr *httputil.ProxyRequest) {
	pr.Out.URL, pr.Out.Host = outboundURL(x.req.URL), ""
	pr.Out.Header = x.outboundHeader()
	pr.Out.Header.Set("Connection", "Upgrade")
	pr.Out.Header.Set("Upgrade", "websocket")
}

// sendUpgrade sends the handshake. The context is the exchange's rather than the
// proxy's, whose trace would forward 1xx responses.
func (x *exchange) sendUpgrade(out *http.Request) (res *http.Response, err error) {
	res, x.sent, err = x.pool.Send(out.WithContext(x.ctx), x.route())
	recordOf(x.req).sent(x.sent)
	x.setUpstreamHeaders()
	x.lookForRefusal(res)
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
		return x.blaming(errInvalidResponse)
	}
	h := make(http.Header)
	copyResponseHeader(h, res.Header)
	if switched {
		rec := recordOf(x.req)
		rec.status, rec.usageUnknown = res.StatusCode, x.logUsage
		h["Connection"], h["Upgrade"] = res.Header["Connection"], res.Header["Upgrade"]
	}
	x.setMarker(h)
	delete(x.w.Header(), protocol.Marker) // the proxy adds what is in h
	res.Header, res.Trailer = h, nil
	return nil
}

// refuseUpgrade responds to a handshake that failed.
func (x *exchange) refuseUpgrade(_ http.ResponseWriter, _ *http.Request, err error) {
	x.w.Header()[protocol.Marker] = x.relayMarker // not that of a response that was refused
	if e, ok := errors.AsType[*Error](err); ok {
		writeError(x.w, x.req, e)
		return
	}
	x.refuse(x.upstreamError(err))
}

// An upgradeWriter wraps the connection that Hijack returns in an upgradedConn.
type upgradeWriter struct {
	http.ResponseWriter
	rec     *record
	timeout time.Duration // for each write; 0: none
	idle    *watchdog
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

// An upgradedConn is a client's connection after the handshake. It counts bytes and
// sets a deadline for each write.
type upgradedConn struct {
	net.Conn
	rec     *record
	timeout time.Duration
	idle    *watchdog
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

// CloseWrite closes the sending half of the connection.
func (c *upgradedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// A watchdog cancels a WebSocket on which no byte was read or written for a while:
// it counts as a request in flight, and both ends may be gone. It is safe for
// concurrent use.
type watchdog struct {
	limit  time.Duration // 0: none
	cancel context.CancelCauseFunc
	last   atomic.Int64 // when bytes were last read or written, in nanoseconds since begin
	begin  time.Time

	mu    sync.Mutex  // guards timer
	timer *time.Timer // nil: not started, or stopped
}

func newWatchdog(limit time.Duration, cancel context.CancelCauseFunc) *watchdog {
	return &watchdog{limit: limit, cancel: cancel, begin: time.Now()}
}

// heard records that n bytes were read or written. It does not reset the timer,
// which would cost more.
func (d *watchdog) heard(n int) {
	if n > 0 && d.limit > 0 {
		d.last.Store(int64(time.Since(d.begin)))
	}
}

func (d *watchdog) start() {
	if d.limit <= 0 {
		return
	}
	d.heard(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.timer = time.AfterFunc(d.limit, d.check)
}

// check cancels the connection if it has been idle for the limit, or sets the timer
// to when it would have been.
func (d *watchdog) check() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer == nil {
		return
	}
	if left := d.limit - (time.Since(d.begin) - time.Duration(d.last.Load())); left > 0 {
		d.timer.Reset(left)
		return
	}
	d.cancel(errIdle)
}

func (d *watchdog) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

// A roundTripFunc is a function as a RoundTripper.
type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
