package failover

import (
	"crypto/tls"
	"net/http"
	"time"
)

const (
	// maxIdle is how many idle connections to an upstream are kept, and
	// idleFor for how long. Most requests under load would pay for a handshake
	// with net/http's default of two.
	maxIdle = 512
	idleFor = 90 * time.Second

	// maxHeaderBytes limits an answer's header.
	maxHeaderBytes = 256 << 10
)

// newTransport returns the maker of connections to one upstream.
func newTransport(opts Options) *http.Transport {
	config := opts.TLS.Clone()
	if config == nil {
		config = new(tls.Config)
	}
	if config.MinVersion == 0 {
		config.MinVersion = tls.VersionTLS12
	}
	config.ClientSessionCache = tls.NewLRUClientSessionCache(64)
	t := &http.Transport{
		Proxy:               opts.Proxy,
		DialContext:         dial(newDialer()),
		TLSClientConfig:     config,
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     idleFor,

		// Go would ask for gzip and decompress on its own; bodies pass as they are.
		DisableCompression: true,
		// With zero, bodies would be uploaded that the upstream has refused.
		ExpectContinueTimeout: time.Second,
		// Models may think for minutes before their first header.
		ResponseHeaderTimeout:  0,
		MaxResponseHeaderBytes: maxHeaderBytes,

		ForceAttemptHTTP2: true,
		// Go sends no pings by default, and a dead connection would swallow
		// requests for as long as TCP retries: found within 15 s + 5 s.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
	}
	if opts.HTTP1 {
		onlyHTTP1(t)
	}
	return t
}

// onlyHTTP1 makes t speak nothing but HTTP/1.1.
func onlyHTTP1(t *http.Transport) {
	t.ForceAttemptHTTP2 = false
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
}
