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
)

// An upgrade passes WebSocket connections through. It is httputil's reverse
// proxy under the relay's policies; only the handshake is looked at.
type upgrade struct {
	x   *exchange
	off bool // the platform cannot
}

func newUpgrade(x *exchange, off bool) *upgrade { return &upgrade{x: x, off: off} }

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

// isUpgradable reports whether the API has a WebSocket at path.
func isUpgradable(path string) bool { return path == "/v1/realtime" || path == "/v1/responses" }

func (u *upgrade) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if u.off || !isUpgrade(req) || !isUpgradable(req.URL.Path) || req.Method != http.MethodGet {
		writeError(w, req, errWebSocket)
		return
	}
	x, rec := u.x, recordOf(req)
	ctx, b := x.bounded(req.Context())
	defer b.end()
	var answered io.Closer
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0), // it would quote what it could not parse
		// The context is ours rather than the proxy's, whose trace would hand
		// 1xx responses on.
		Transport: roundTripFunc(func(out *http.Request) (*http.Response, error) {
			res, sent, err := x.pool.Send(out.WithContext(ctx))
			rec.sent(sent)
			x.describe(w.Header(), sent)
			if err == nil {
				answered = res.Body
			}
			return res, err
		}),
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL, pr.Out.Host = outboundURL(req.URL), ""
			pr.Out.Header = x.outboundHeader(req)
			pr.Out.Header.Set("Connection", "Upgrade")
			pr.Out.Header.Set("Upgrade", "websocket")
		},
		ModifyResponse: func(res *http.Response) error {
			if res.StatusCode != http.StatusSwitchingProtocols && (res.StatusCode < 200 || res.StatusCode > 599) {
				return errInvalidResponse
			}
			answer := make(http.Header)
			copyAnswer(answer, res.Header)
			if res.StatusCode == http.StatusSwitchingProtocols {
				rec.status = res.StatusCode
				answer["Connection"], answer["Upgrade"] = res.Header["Connection"], res.Header["Upgrade"]
			}
			w.Header()["X-Relay"] = x.marker(res.Header)
			res.Header, res.Trailer = answer, nil
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			w.Header()["X-Relay"] = x.ownMarker // whatever an answer had said
			if e, ok := errors.AsType[*Error](err); ok {
				writeError(w, req, e)
				return
			}
			x.refuse(w, req, x.explain(ctx, req, nil, err))
		},
	}
	uw := &upgradeWriter{ResponseWriter: w, rec: rec, timeout: x.writeTimeout, idle: newSilence(x.idleTimeout, b.cancel)}
	defer uw.idle.stop()
	proxy.ServeHTTP(uw, req.WithContext(ctx))
	if answered != nil {
		answered.Close() // the proxy does not where the client's connection cannot be had
	}
	if e, ok := errors.AsType[*Error](context.Cause(ctx)); ok {
		rec.fail(e)
	}
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
