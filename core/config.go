package core

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"os"
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
	// https://rt_token@host, which AccessTokens then should keep from being
	// spent by others (see Public), and a name for people, as https://host#name. Plain
	// http is allowed to loopback addresses only. If empty,
	// https://api.openai.com.
	Upstreams []Secret

	// Policy says which of several healthy upstreams is preferred. If empty,
	// [failover.PreferOrder].
	Policy failover.Policy

	// ResendAmbiguous lets a request be sent once more when it may have been
	// processed and got no answer: a POST may then be processed, and paid for,
	// twice.
	ResendAmbiguous bool

	// ResumeResponses lets the event stream of a background response go on
	// through another upstream when it breaks off.
	ResumeResponses bool

	// ProbeInterval is the time between probes of the health of each of several
	// upstreams. If zero, 10 seconds. If negative, none. Functions never probe.
	ProbeInterval time.Duration

	// AccessTokens are what clients must show, any one of them; each is
	// written plainly or as "sha256:" and 64 hexadecimal digits. If empty,
	// clients need none.
	AccessTokens []Secret

	// APIKey is the upstream's key that the relay puts into every request in
	// place of the client's. It needs AccessTokens. If empty, clients send
	// their own.
	APIKey Secret

	// APIKeySecret names where APIKey is to be read from, in the platform's own
	// store of secrets. New refuses a Config that has it: the adapter that knows
	// the store reads APIKey and takes this out.
	APIKeySecret string

	// PathTokens lets clients send their access token in the path, as
	// /t/<token>/v1/…, where the logs of platforms show it.
	PathTokens bool

	// AllowedOrigins are the web origins besides the relay's own that browsers may
	// call from: "*" for every one, a list such as https://chat.example, or "none".
	// Requests from others are refused. If empty, "*". Where an upstream's URL holds
	// a token and clients need none, "*" means none: only origins that are listed
	// may then call.
	AllowedOrigins []string

	// AllowedHosts are the host names, without port, by which the relay may
	// be called; "*" and an empty list allow every one. A relay on a loopback
	// address needs it against DNS rebinding.
	AllowedHosts []string

	// Paths are the path prefixes that are relayed. If empty, /v1/ and
	// /dashboard/.
	Paths []string

	// NoPage takes the web page away that the relay answers at /.
	NoPage bool

	// MaxBodyBytes limits a request's body, to 1 TiB at most. If zero, 32 MiB.
	// The platform's own limit applies as well.
	MaxBodyBytes int64

	// MaxInFlight limits the requests that are relayed at a time. If zero,
	// 1000, and no limit on serverless platforms. If negative, no limit.
	MaxInFlight int

	// IdleTimeout ends an answer whose body brought no byte for so long. If
	// zero, 10 minutes. If negative, none.
	IdleTimeout time.Duration

	// MaxStreamTime ends an exchange that took so long from its request on.
	// If zero or negative, none.
	MaxStreamTime time.Duration

	// Keepalive is the silence of the upstream after which the relay writes a
	// comment into an event stream, between events. If zero or negative, it
	// writes none.
	Keepalive time.Duration

	// BodyTimeout ends a request whose body brought less than 32 KiB in so
	// long. If zero, 60 seconds. If negative, none.
	BodyTimeout time.Duration

	// WriteTimeout ends an exchange whose client took none of the answer for
	// so long. If zero, 30 seconds. If negative, none.
	WriteTimeout time.Duration

	// Name is this relay's name in the X-Relay header and in health. If
	// empty, "relay".
	Name string

	// Region is where this relay runs, for health and the log.
	Region string

	// LogLevel is the least level that is logged. Requests are logged at
	// info, those that failed at warn. The zero value is info.
	LogLevel slog.Level

	// LambdaInvokeMode is the invoke mode of the AWS Lambda function URL in
	// front: BUFFERED or RESPONSE_STREAM. Only the Lambda adapter reads it.
	LambdaInvokeMode string

	// ProxyFromEnvironment lets the relay reach the upstream by the proxy that
	// HTTPS_PROXY names. Functions ignore it: there it names nothing of the
	// user's.
	ProxyFromEnvironment bool

	// Public says that others than the programs of this machine reach the relay. A
	// public relay takes no upstreams that hold a token without AccessTokens, and
	// so do platforms.
	Public bool

	// Platform is where the relay runs. The zero value is an ordinary server.
	Platform Platform

	// Logger takes the record lines, which have no source. If nil, JSON lines on
	// standard error.
	Logger *slog.Logger

	// TLS is the configuration of connections to upstreams. If nil, the system's
	// roots and TLS 1.2 or later.
	TLS *tls.Config

	// Transport reaches the upstreams. If nil, connections of the relay's own. It
	// must neither decompress nor retry after bytes of a request were written.
	Transport http.RoundTripper
}

// A Platform is what an adapter knows of the place it runs in.
type Platform struct {
	// Name is what users call the platform, such as "AWS Lambda".
	Name string

	// MaxBodyBytes is the largest request body that the platform lets in. If
	// zero, it has no such limit.
	MaxBodyBytes int64

	// NoWebSocket says that connections cannot be upgraded.
	NoWebSocket bool

	// HidesCuts says that a client may see an answer that broke off as a
	// complete one. Event streams then need their error event, so the relay
	// asks the upstream for uncompressed answers; every other answer is held
	// back until it is complete, up to 1 MiB, so that a cut becomes a 502.
	HidesCuts bool

	// SingleRequest says that the process gets one request at a time. It then
	// reaches the upstream by HTTP/1.1, which costs less than HTTP/2 where there
	// is nothing to multiplex, and whose dead connections are told for sure.
	SingleRequest bool

	// Serverless says that the platform bounds the requests in flight by
	// itself and may freeze the process between them.
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

// withDefaults returns cfg with its zero fields filled in. After it, negative
// time-outs and counts have become zero, which means none.
func (cfg Config) withDefaults() Config {
	if len(cfg.Upstreams) == 0 {
		cfg.Upstreams = []Secret{defaultUpstream}
	}
	if len(cfg.AllowedOrigins) == 0 {
		cfg.AllowedOrigins = []string{"*"}
	}
	if len(cfg.Paths) == 0 {
		cfg.Paths = []string{"/v1/", "/dashboard/"}
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

// logger returns where to log.
func (cfg Config) logger() *slog.Logger {
	if cfg.Logger != nil {
		return cfg.Logger
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: cfg.LogLevel}))
}
