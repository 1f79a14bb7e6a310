package conn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	// maxIdle is how many idle connections to an upstream are kept, and
	// idleTimeout for how long. Most requests under load would pay for a handshake
	// with net/http's default of two.
	maxIdle     = 512
	idleTimeout = 90 * time.Second

	// handshakeTimeout bounds TLS handshakes.
	handshakeTimeout = 10 * time.Second

	// maxHeaderBytes limits a response's header.
	maxHeaderBytes = 256 << 10
)

// tlsConfig returns the configuration of TLS to the upstream's host.
func tlsConfig(opts Options) *tls.Config {
	config := opts.TLS.Clone()
	if config == nil {
		config = new(tls.Config)
	}
	if config.MinVersion == 0 {
		config.MinVersion = tls.VersionTLS12
	}
	if config.ServerName == "" {
		config.ServerName = opts.Base.Hostname()
	}
	config.ClientSessionCache = tls.NewLRUClientSessionCache(64)
	config.NextProtos = []string{"h2", "http/1.1"}
	return config
}

// handedKey is the context key of a connection that net/http is to use.
type handedKey struct{}

// newTransport returns net/http's maker of connections to one upstream: of
// HTTP/2 over connections that are handed to it, and of all by way of a proxy.
func newTransport(opts Options, config *tls.Config) *http.Transport {
	dialer := newDialer()
	return &http.Transport{
		Proxy:                  opts.Proxy,
		OnProxyConnectResponse: refusedByProxy,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, addr)
		},
		TLSClientConfig:     config.Clone(),
		TLSHandshakeTimeout: handshakeTimeout,
		IdleConnTimeout:     idleTimeout,

		// Go would ask for gzip and decompress on its own; bodies pass as they are.
		DisableCompression: true,
		// With zero, bodies would be uploaded that the upstream has refused.
		ExpectContinueTimeout: continueTimeout,
		// Models may think for minutes before their first header.
		ResponseHeaderTimeout:  0,
		MaxResponseHeaderBytes: maxHeaderBytes,

		ForceAttemptHTTP2: true,
		// Go sends no pings by default, and a dead connection would swallow
		// requests for as long as TCP retries: found within 15 s + 5 s.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
	}
}

// refusedByProxy returns an error that names the proxy, if it refused to connect.
// net/http's has nothing but the text of the status.
func refusedByProxy(_ context.Context, proxy *url.URL, _ *http.Request, res *http.Response) error {
	if res.StatusCode == http.StatusOK {
		return nil
	}
	return fmt.Errorf("the proxy %s refused to connect: %d %s",
		proxy.Host, res.StatusCode, http.StatusText(res.StatusCode))
}

// handed returns a maker of HTTP/2 connections over connections that the
// context holds.
func handed(t *http.Transport) *http.Transport {
	t = t.Clone()
	t.Proxy = nil
	t.DialTLSContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, ok := ctx.Value(handedKey{}).(net.Conn)
		if !ok {
			return nil, errors.ErrUnsupported
		}
		return conn, nil
	}
	return t
}

// onlyHTTP1 makes t speak nothing but HTTP/1.1.
func onlyHTTP1(t *http.Transport) {
	t.ForceAttemptHTTP2 = false
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.TLSClientConfig.NextProtos = []string{"http/1.1"}
}
