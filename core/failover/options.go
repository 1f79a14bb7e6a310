package failover

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// Options say how a pool behaves. The zero value is good for a program that
// fails over by itself.
type Options struct {
	// Policy says which healthy upstream is preferred. If empty, PreferOrder.
	Policy Policy

	// ResendAmbiguous lets a request be sent once more, to another upstream if
	// there is one, when it may have been processed and got no response: a POST may
	// then be processed, and paid for, twice.
	ResendAmbiguous bool

	// ResumeResponses lets the event stream of a background response continue
	// through another upstream when it is cut. Incomplete events are held back.
	ResumeResponses bool

	// RetryQuota lets another upstream have a request to which one responds that the
	// account has no credit left (429 insufficient_quota), for keys of the pool's owner
	// only, see [Route]. Responses are then requested in encodings that can be read.
	RetryQuota bool

	// ProbeInterval is the time between probes of each upstream while there is
	// traffic; without traffic, probes are six times as far apart. An upstream that
	// is failing is probed more often, and one that lets a request wait for longer
	// than usual at once. A relay that is a server and was silent for a second must
	// respond to a check before it gets a request that may not be sent again. If zero
	// or negative, there are no probes, and health is learned from requests alone.
	ProbeInterval time.Duration

	// Serverless says that the process may be frozen between requests: no
	// goroutine and no timer outlives its request. It turns probes off.
	Serverless bool

	// HTTP says by which version of HTTP to send requests over TLS. If empty, HTTPAuto.
	HTTP HTTPVersion

	// AllowPrivateHTTP allows plain http, on which everyone in the network can read
	// keys, to upstreams at private and shared addresses and at names without a dot,
	// besides loopback addresses.
	AllowPrivateHTTP bool

	// Proxy returns the proxy for a request, as [http.Transport]'s does. If nil,
	// there is none.
	Proxy func(*http.Request) (*url.URL, error)

	// TLS is the configuration of connections to upstreams. If nil, the system's
	// roots and TLS 1.2 or later.
	TLS *tls.Config

	// Transport, if not nil, sends the requests in place of connections of the
	// pool's own. Connects are then not hedged. It must neither decompress nor
	// send a request again after bytes of it were written.
	Transport http.RoundTripper

	// Logger is told when an upstream goes down and comes back. If nil, nothing is
	// logged.
	Logger *slog.Logger
}

// An HTTPVersion says by which version of HTTP to send requests to upstreams over TLS.
// Upstreams by plain http get HTTP/1.1.
type HTTPVersion string

const (
	// HTTPAuto uses HTTP/1.1, whose requests cost less, and HTTP/2 for those beyond
	// 32 at a time to an upstream, which would need a connection each. An upstream that
	// speaks one of them only gets that.
	HTTPAuto HTTPVersion = "auto"
	// HTTP1 uses HTTP/1.1 only.
	HTTP1 HTTPVersion = "1.1"
	// HTTP2 uses HTTP/2 with upstreams that speak it.
	HTTP2 HTTPVersion = "2"
)
