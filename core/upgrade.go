package core

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"strings"
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
	return isUpgrade(req) || len(req.Header["Sec-Websocket-Key"]) > 0
}

func isUpgrade(req *http.Request) bool {
	return len(req.Header["Upgrade"]) > 0 && strings.EqualFold(req.Header.Get("Upgrade"), "websocket")
}

// isUpgradable reports whether the API has a WebSocket at path.
func isUpgradable(path string) bool { return path == "/v1/realtime" || path == "/v1/responses" }

func (u *upgrade) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if u.off || !isUpgrade(req) || !isUpgradable(req.URL.Path) || req.Method != http.MethodGet {
		writeError(w, req, errWebSocket)
		return
	}
	x, rec := u.x, recordOf(req)
	ctx, cancel := x.bounded(req.Context())
	defer cancel(nil)
	a := &attempt{req: req}
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0), // it would quote what it could not parse
		// The context is ours rather than the proxy's, whose trace would hand
		// 1xx responses on.
		Transport: roundTripFunc(func(out *http.Request) (*http.Response, error) {
			rec.attempts++
			return x.transport.RoundTrip(out.WithContext(a.traced(ctx)))
		}),
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL, pr.Out.Host = x.outboundURL(req.URL), x.upstream.Host
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
			w.Header().Set("X-Relay", x.marker)
			res.Header = answer
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			if e, ok := errors.AsType[*Error](err); ok {
				writeError(w, req, e)
				return
			}
			x.fail(ctx, w, a, err)
		},
	}
	proxy.ServeHTTP(w, req.WithContext(ctx))
}

// A roundTripFunc is a RoundTripper that is a function.
type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
