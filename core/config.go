package core

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"time"

	"example.com/relay/core/failover"
)

// A Config says how a relay behaves. The zero value is a relay for
// https://api.openai.com which anyone who reaches it may use with a key of
// their own.
type Config struct {
	// Upstreams are the base URLs of the API, or of relays of it, in order of
	// preference, without the /v1 of its paths (a trailing /v1 is ignored). A
	// URL may hold the access token of the relay there, as
	// https://rt_token@host, an API key as password, as https://:key@host, and a
	// name for logs, as https://host#name. A relay that holds such a token or key
	// needs AccessTokens, or others could spend it (see Public). If one has a key,
	// the others need one or a token, or there must be an APIKey. Plain http is allowed to loopback addresses only, see
	// AllowPrivateHTTP. If empty, https://api.openai.com.
	Upstreams []Secret

	// AllowPrivateHTTP allows plain http to upstreams at private addresses and at
	// names without a dot too, as [failover.Options.AllowPrivateHTTP] says.
	AllowPrivateHTTP bool

	// Policy says which of several healthy upstreams is preferred. If empty,
	// [failover.PreferOrder].
	Policy failover.Policy

	// UpstreamHTTP says by which version of HTTP to send requests to upstreams over TLS.
	// If empty, [failover.HTTPAuto]; where a process gets one request at a time,
	// [failover.HTTP1] in any case.
	UpstreamHTTP failover.HTTPVersion

	// ResendAmbiguous allows one retry of a request that may have been processed
	// and got no response: a POST may then be processed, and paid for, twice.
	ResendAmbiguous bool

	// ResumeResponses lets the event stream of a background response continue
	// through another upstream when it is interrupted.
	ResumeResponses bool

	// RetryQuota lets another upstream have a request whose API key the relay holds
	// if one responds that the key's account has no credit left.
	RetryQuota bool

	// ProbeInterval is the time between health checks of each of several
	// upstreams. If zero, 10 seconds; if negative, there are none. Serverless
	// platforms never probe.
	ProbeInterval time.Duration

	// AccessTokens are the tokens of which clients must present one. Each is in
	// plain text or "sha256:" and 64 hexadecimal digits. If empty, clients need
	// none.
	AccessTokens []Secret

	// NamedTokens are further tokens, each with a name, an end and limits. Names and
	// tokens must be unique. A token that has expired is logged by New, and keeps
	// the relay closed to others.
	NamedTokens []NamedToken

	// AllowAnyone says that the relay has no AccessTokens on purpose. The relay does
	// not read it: a program that listens beyond loopback does, and refuses to start
	// without.
	AllowAnyone bool

	// APIKey is the API key that replaces the client's in every request, but for
	// upstreams with a key of their own. It needs AccessTokens. If empty, clients send
	// their own.
	APIKey Secret

	// APIKeySecret names the secret in the platform's own store that holds the API
	// key. An adapter that knows the store sets APIKey from it and clears this
	// field; New refuses a Config in which it is left.
	APIKeySecret string

	// PathTokens lets clients send their access token in the path, as
	// /t/<token>/v1/…, where it shows up in the logs of platforms.
	PathTokens bool

	// AllowedOrigins are the web origins besides the relay's own that browsers may
	// call from: "*" for all, a list such as https://chat.example, or "none".
	// Requests from others are refused. If empty, "*". If an upstream's URL holds a
	// token and clients need none, "*" allows no origin: only those listed by name
	// may call.
	AllowedOrigins []string

	// AllowedHosts are the values of Host, without port, that the relay accepts;
	// "*" and an empty list accept all. A relay on a loopback address needs it
	// against DNS rebinding.
	AllowedHosts []string

	// Paths are the prefixes of the paths that are forwarded. If empty, /v1/ and
	// /dashboard/.
	Paths []string

	// NoPage disables the web page at /.
	NoPage bool

	// MaxBodyBytes is the max size of a request body, up to 1 TiB. If zero, 32 MiB.
	// The platform's own limit applies as well.
	MaxBodyBytes int64

	// MaxInFlight is the max number of requests in flight. If zero, 1000, and no
	// limit on serverless platforms. If negative, no limit.
	MaxInFlight int

	// IdleTimeout is how long the upstream may send nothing of a response body
	// before the response is ended. If zero, 10 minutes. If negative, none.
	IdleTimeout time.Duration

	// MaxStreamTime is the max duration of a request and its response together, from
	// when the request is forwarded: what is read of a body before, to know its model,
	// is limited by BodyTimeout. If zero or negative, a request may take as long as it likes.
	MaxStreamTime time.Duration

	// Keepalive is how long the upstream may be silent before the relay writes a
	// comment into an event stream, between events. If zero or negative, it writes
	// none.
	Keepalive time.Duration

	// BodyTimeout is how long each 32 KiB of a request body may take to arrive. If
	// zero, 60 seconds. If negative, there is none.
	BodyTimeout time.Duration

	// WriteTimeout is how long a client may take none of the response before it is
	// ended. If zero, 30 seconds. If negative, there is none.
	WriteTimeout time.Duration

	// DrainTimeout is how long relay serve lets requests in flight finish when it
	// stops. If zero, 8 seconds. If negative, it does not wait. The relay itself does
	// not read it.
	DrainTimeout time.Duration

	// IdleConnectionTimeout is how long relay serve keeps a client's idle connection.
	// If zero, 3 minutes. If negative, forever. The relay itself does not read it.
	IdleConnectionTimeout time.Duration

	// Name is this relay's name in the X-Relay header and in health. If
	// empty, "relay".
	Name string

	// Region is where this relay runs, for health and the log.
	Region string

	// LogLevel is the min level that is logged, unless there is a Logger. Requests
	// are logged at info; at warn if the relay could not serve them or the API
	// responded with 429 or 5xx. The zero value is info.
	LogLevel slog.Level

	// LogSample logs one in this many requests at info, chosen at random. If zero, 1:
	// all are logged.
	LogSample int

	// LogUsage adds the model and the counts of tokens to the log line, as the
	// response has them: nothing is changed or requested for it. It takes up to 32 KiB
	// of memory for each response in flight.
	LogUsage bool

	// LambdaInvokeMode is the invoke mode of the AWS Lambda function URL in
	// front: BUFFERED or RESPONSE_STREAM. Only the Lambda adapter reads it.
	LambdaInvokeMode string

	// ProxyFromEnvironment makes the relay connect to upstreams through the proxy
	// in HTTPS_PROXY. Serverless platforms ignore it: there the variable is not the
	// user's.
	ProxyFromEnvironment bool

	// Public says that the relay is reachable from other machines. A public relay,
	// and one on a platform, refuses upstreams that hold a token if it has no
	// AccessTokens.
	Public bool

	// Platform is where the relay runs. The zero value is an ordinary server.
	Platform Platform

	// Logger gets a line for each request, without a source location. If nil, JSON
	// lines go to standard error.
	Logger *slog.Logger

	// Observe, if not nil, is called once for each request, when its response has
	// ended, for metrics. It is called by many goroutines at once, and the response's
	// end waits for it.
	Observe func(Request)

	// TLS is the configuration of connections to upstreams. If nil, the system's
	// roots and TLS 1.2 or later.
	TLS *tls.Config

	// Transport, if not nil, replaces the relay's own connections to upstreams. It
	// must neither decompress nor retry once bytes of a request were written.
	Transport http.RoundTripper
}

// A Platform is what an adapter knows of the place it runs in.
type Platform struct {
	// Name is what users call the platform, such as "AWS Lambda".
	Name string

	// MaxBodyBytes is the platform's max size of a request body. If zero, it has
	// none.
	MaxBodyBytes int64

	// NoWebSocket says that connections cannot be upgraded.
	NoWebSocket bool

	// HidesCuts says that a truncated response may look complete to a client. Event
	// streams then need their error event, so the relay asks the upstream for
	// uncompressed responses; all others are buffered, up to 1 MiB, so that a
	// truncated one becomes a 502.
	HidesCuts bool

	// SingleRequest says that the process gets one request at a time. It then
	// connects to upstreams by HTTP/1.1 only: there is nothing to multiplex.
	SingleRequest bool

	// Serverless says that the platform limits the requests in flight itself and
	// may freeze the process between them.
	Serverless bool
}

const (
	defaultUpstream      = "https://api.openai.com"
	defaultMaxBodyBytes  = 32 << 20
	bodyLimitCeiling     = 1 << 40
	defaultMaxInFlight   = 1000
	defaultIdleTimeout   = 10 * time.Minute
	defaultBodyTimeout   = 60 * time.Second
	defaultWriteTimeout  = 30 * time.Second
	defaultProbeInterval = 10 * time.Second
)

// defaultPaths are the path prefixes that are relayed by default.
var defaultPaths = []string{"/v1/", "/dashboard/"}

// withDefaults returns cfg with its zero fields set to their defaults. Negative
// timeouts and counts become zero, which from here on means none.
func (cfg Config) withDefaults() Config {
	if len(cfg.Upstreams) == 0 {
		cfg.Upstreams = []Secret{defaultUpstream}
	}
	if len(cfg.AllowedOrigins) == 0 {
		cfg.AllowedOrigins = []string{"*"}
	}
	if len(cfg.Paths) == 0 {
		cfg.Paths = slices.Clone(defaultPaths)
	}
	if cfg.MaxInFlight == 0 && !cfg.Platform.Serverless {
		cfg.MaxInFlight = defaultMaxInFlight
	}
	if cfg.MaxBodyBytes == 0 {
		cfg.MaxBodyBytes = defaultMaxBodyBytes
	}
	if limit := cfg.Platform.MaxBodyBytes; limit > 0 {
		cfg.MaxBodyBytes = min(cfg.MaxBodyBytes, limit)
	}
	cfg.MaxInFlight = max(cfg.MaxInFlight, 0)
	cfg.IdleTimeout = orDefault(cfg.IdleTimeout, defaultIdleTimeout)
	cfg.MaxStreamTime = max(cfg.MaxStreamTime, 0)
	cfg.Keepalive = max(cfg.Keepalive, 0)
	cfg.BodyTimeout = orDefault(cfg.BodyTimeout, defaultBodyTimeout)
	cfg.WriteTimeout = orDefault(cfg.WriteTimeout, defaultWriteTimeout)
	cfg.ProbeInterval = orDefault(cfg.ProbeInterval, defaultProbeInterval)
	if cfg.Name == "" {
		cfg.Name = "relay"
	}
	return cfg
}

// orDefault returns v, or the default if v is zero, or zero if v is negative.
func orDefault[T ~int64](v, def T) T {
	if v == 0 {
		return def
	}
	return max(v, 0)
}

// logger returns cfg.Logger or its default.
func (cfg Config) logger() *slog.Logger {
	if cfg.Logger != nil {
		return cfg.Logger
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: cfg.LogLevel}))
}
