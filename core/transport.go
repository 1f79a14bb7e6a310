package core

import (
	"crypto/tls"
	"net/http"
	"sync/atomic"
	"time"
)

// frozenAfter is the gap between requests after which a process may have been
// frozen and its idle connections closed by the upstream meanwhile. Lambda
// functions without this rule fail about a third of their POSTs after a thaw.
const frozenAfter = 20 * time.Second

// newTransport returns the transport for one upstream. Its limits are those of
// a relay, which has one host to reach, rather than a browser's.
func newTransport(cfg Config) *http.Transport {
	t := &http.Transport{
		DialContext:         dial(newDialer()),
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(64)},
		TLSHandshakeTimeout: 10 * time.Second,

		// One host gets all the connections. With the default of two idle ones,
		// most requests under load would pay for a handshake.
		MaxIdleConns:        0,
		MaxIdleConnsPerHost: 512,
		IdleConnTimeout:     90 * time.Second,

		// Go would ask for gzip and decompress on its own; bodies pass as they are.
		DisableCompression: true,
		// With zero, bodies would be uploaded that the upstream has refused.
		ExpectContinueTimeout: time.Second,
		// Models may think for minutes before their first header.
		ResponseHeaderTimeout:  0,
		MaxResponseHeaderBytes: 256 << 10,

		ForceAttemptHTTP2: true,
		// Go sends no pings by default, and a dead connection would swallow
		// requests for as long as TCP retries: found within 15 s + 5 s.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
	}
	if cfg.Platform.SingleRequest {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP1(true)
	}
	if cfg.ProxyFromEnvironment && !cfg.Platform.Serverless {
		t.Proxy = http.ProxyFromEnvironment
	}
	return t
}

// A thawingTransport is the transport for one upstream that leaves all its
// connections behind when the process may have been frozen. It goes by the wall
// clock: timers and the monotonic clock may stand still in a freeze. To close
// the idle connections would not do: one that was in use until the freeze may
// become idle only after it.
type thawingTransport struct {
	make    func() *http.Transport
	now     func() time.Time
	current atomic.Pointer[http.Transport]
	last    atomic.Int64 // wall clock of the last activity, Unix nanoseconds
}

func newThawingTransport(cfg Config) *thawingTransport {
	t := &thawingTransport{make: func() *http.Transport { return newTransport(cfg) }, now: time.Now}
	t.current.Store(t.make())
	return t
}

// RoundTrip sends req over a connection that no freeze has spoiled.
func (t *thawingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	now := t.now().UnixNano()
	last := t.last.Swap(now)
	if gap := time.Duration(now - last); last != 0 && (gap > frozenAfter || gap < -frozenAfter) {
		t.current.Swap(t.make()).CloseIdleConnections()
	}
	defer t.touch()
	return t.current.Load().RoundTrip(req)
}

// touch says that the process is running: a stream is no gap. It is to be
// called before bytes are handed on, never after, when a freeze may lie between
// the two and would be covered up.
func (t *thawingTransport) touch() { t.last.Store(t.now().UnixNano()) }
