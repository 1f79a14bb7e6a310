package core

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
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
	defaultUpstream     = "https://api.openai.com"
	defaultMaxBodyBytes = 32 << 20
	mostBodyBytes       = 1 << 40
	defaultMaxInFlight  = 1000
	defaultIdleTimeout  = 10 * time.Minute
	defaultBodyTimeout  = 60 * time.Second
	defaultWriteTimeout = 30 * time.Second
	defaultProbes       = 10 * time.Second
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
	cfg.ProbeInterval = orDefault(cfg.ProbeInterval, defaultProbes)
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

// problems returns everything that is wrong with cfg, naming the settings as
// the environment does and never a value.
func (cfg Config) problems() []error {
	var errs []error
	add := func(name string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	errs = append(errs, upstreamProblems(cfg.Upstreams)...)
	switch cfg.Policy {
	case "", failover.PreferOrder, failover.PreferFastest:
	default:
		add("RELAY_POLICY", errors.New("must be order or latency"))
	}
	if cfg.ProbeInterval > 0 && cfg.ProbeInterval < time.Second {
		add("RELAY_PROBE_INTERVAL", errors.New("must be 1s or longer, or off"))
	}
	for i, token := range cfg.AccessTokens {
		add(nth("RELAY_ACCESS_TOKENS", i, len(cfg.AccessTokens)), checkToken(token))
	}
	if cfg.APIKey != "" && len(cfg.AccessTokens) == 0 {
		add("RELAY_API_KEY", errors.New("needs RELAY_ACCESS_TOKENS too, or anyone who finds the relay could spend it"))
	}
	if !isHeaderValue(string(cfg.APIKey)) {
		add("RELAY_API_KEY", errors.New("has a character that no API key has, such as a space or a line break"))
	}
	switch {
	case cfg.APIKeySecret == "":
	case cfg.APIKey != "":
		add("RELAY_API_KEY_SECRET", errors.New("is set beside RELAY_API_KEY: set one of the two"))
	default:
		add("RELAY_API_KEY_SECRET", errors.New("could not be read, so there is no API key: only functions on AWS Lambda can, "+
			"with AWS's Parameters and Secrets extension and the right to read the secret"))
	}
	for i, origin := range cfg.AllowedOrigins {
		add(nth("RELAY_ALLOWED_ORIGINS", i, len(cfg.AllowedOrigins)), checkOrigin(origin, len(cfg.AllowedOrigins)))
	}
	for i, prefix := range cfg.Paths {
		add(nth("RELAY_PATHS", i, len(cfg.Paths)), checkPrefix(prefix))
	}
	if cfg.MaxBodyBytes < 0 || cfg.MaxBodyBytes > mostBodyBytes {
		add("RELAY_MAX_BODY_BYTES", errors.New("must be a number of bytes up to 1 TiB"))
	}
	if cfg.Keepalive > 0 && cfg.Keepalive < time.Second {
		add("RELAY_KEEPALIVE", errors.New("must be 1s or longer, or off"))
	}
	if !isToken(cfg.Name) && cfg.Name != "" {
		add("RELAY_NAME", errors.New("may have letters, digits, hyphens and dots only"))
	}
	if !isPrintable(cfg.Region) {
		add("RELAY_REGION", errors.New("may have printable ASCII characters only"))
	}
	switch cfg.LambdaInvokeMode {
	case "", "BUFFERED", "RESPONSE_STREAM":
	default:
		add("RELAY_LAMBDA_INVOKE_MODE", errors.New("must be BUFFERED or RESPONSE_STREAM, the same as the function URL's invoke mode"))
	}
	return errs
}

// isPublic reports whether others than the programs of this machine reach the
// relay.
func (cfg Config) isPublic() bool { return cfg.Public || cfg.Platform != (Platform{}) }

// errExposed says that whoever finds the relay could spend what it holds.
var errExposed = errors.New("RELAY_UPSTREAMS: holds an access token, which everyone who reaches this relay could spend: " +
	"set RELAY_ACCESS_TOKENS too, or let only this machine reach it, by a loopback address and without RELAY_ALLOWED_HOSTS=*")

// exposure returns errExposed if it applies. It is apart from what is wrong with
// the settings by themselves, since it depends on where the relay runs.
func (cfg Config) exposure() []error {
	if cfg.isPublic() && len(cfg.AccessTokens) == 0 && holdToken(cfg.Upstreams) {
		return []error{errExposed}
	}
	return nil
}

// holdToken reports whether one of upstreams holds an access token.
func holdToken(urls []Secret) bool {
	return slices.ContainsFunc(urls, func(address Secret) bool {
		u, err := url.Parse(string(address))
		return err == nil && u.User != nil
	})
}

// nth names the i-th of n values of a setting.
func nth(name string, i, n int) string {
	if n == 1 {
		return name
	}
	return fmt.Sprintf("%s, value %d", name, i+1)
}

// upstreamProblems returns what is wrong with upstreams.
func upstreamProblems(urls []Secret) (errs []error) {
	known := make(map[string]int)
	for i, address := range urls {
		name := nth("RELAY_UPSTREAMS", i, len(urls))
		if err := failover.CheckURL(string(address)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		base, _ := failover.Base(string(address))
		if first, ok := known[base.String()]; ok {
			errs = append(errs, fmt.Errorf("%s: is the same upstream as value %d", name, first+1))
		}
		known[base.String()] = i
	}
	return errs
}

// checkToken reports why a configured access token cannot be used, or nil.
func checkToken(token Secret) error {
	t := string(token)
	if sum, ok := strings.CutPrefix(t, "sha256:"); ok {
		if b, err := hex.DecodeString(sum); err != nil || len(b) != 32 {
			return errors.New("must have 64 hexadecimal digits behind its sha256: prefix")
		}
		for _, empty := range []string{"", tokenPrefix} {
			if tokenSum(token) == sha256.Sum256([]byte(empty)) {
				return errors.New("is the hash of an empty token")
			}
		}
		return nil
	}
	if bare := strings.TrimPrefix(t, tokenPrefix); bare == "" {
		return errors.New("is empty")
	}
	if !isHeaderValue(t) || strings.Contains(t, ".") {
		return errors.New("may have no spaces, commas, dots or control characters; openssl rand -hex 32 makes a good one")
	}
	return nil
}

// checkOrigin reports why a configured origin, one of n, cannot be used.
func checkOrigin(origin string, n int) error {
	switch origin {
	case "*", "none":
		if n > 1 {
			return fmt.Errorf("%s must stand alone", origin)
		}
		return nil
	case "null":
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != origin || !isPrintable(origin) {
		return errors.New("must be *, none, or origins such as https://chat.example, without a path")
	}
	return nil
}

// checkPrefix reports why a configured path prefix cannot be used.
func checkPrefix(prefix string) error {
	if !strings.HasPrefix(prefix, "/") || !strings.HasSuffix(prefix, "/") || checkPath(prefix) != nil {
		return errors.New("must be path prefixes with a slash at both ends, such as /v1/ here")
	}
	if slices.ContainsFunc([]string{"/relay/", "/t/"}, func(own string) bool { return strings.HasPrefix(prefix, own) }) || prefix == "/" {
		return errors.New("must leave /, /relay/ and /t/ to the relay itself")
	}
	return nil
}

// isHeaderValue reports whether s is visible ASCII without a comma, so that it
// can stand alone in a header and in a list.
func isHeaderValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ',' })
}

// isPrintable reports whether s is visible ASCII and spaces.
func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f })
}
