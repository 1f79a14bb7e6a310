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
	"time"

	"example.com/relay/core/failover"
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
	var sent failover.Result
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0), // it would quote what it could not parse
		// The context is ours rather than the proxy's, whose trace would hand
		// 1xx responses on.
		Transport: roundTripFunc(func(out *http.Request) (*http.Response, error) {
			res, result, err := x.pool.Send(out.WithContext(ctx))
			sent = result
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
			x.mark(answer, res.Header, sent)
			delete(w.Header(), "X-Relay") // the proxy adds those of answer
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
	proxy.ServeHTTP(&upgradeWriter{w, rec, x.writeTimeout}, req.WithContext(ctx))
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
	return &upgradedConn{conn, w.rec, w.timeout}, rw, nil
}

// An upgradedConn is a client's connection after the handshake.
type upgradedConn struct {
	net.Conn
	rec     *record
	timeout time.Duration
}

func (c *upgradedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.rec.bytesIn.Add(int64(n))
	return n, err
}

func (c *upgradedConn) Write(p []byte) (int, error) {
	if c.timeout > 0 {
		_ = c.SetWriteDeadline(time.Now().Add(c.timeout))
	}
	n, err := c.Conn.Write(p)
	c.rec.bytesOut.Add(int64(n))
	return n, err
}

// CloseWrite ends what goes to the client, and lets the client end the rest.
func (c *upgradedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// A roundTripFunc is a RoundTripper that is a function.
type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
