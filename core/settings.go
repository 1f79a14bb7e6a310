package core

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/relay/core/failover"
)

// A Setting is an environment variable that [ParseEnv] reads.
type Setting struct {
	Name    string
	Default string // as a user would write it; empty if there is none
	Usage   string // for relay serve -h and docs/configuration.md, with code in backquotes

	set func(*Config, string) error
}

// Settings returns every setting, in the order in which to show them.
func Settings() []Setting { return slices.Clone(settings) }

var settings = []Setting{
	{"RELAY_UPSTREAMS", defaultUpstream,
		"base URLs of the API or of relays, comma-separated, in order of preference, with or without `/v1`; " +
			"`https://rt_<token>@host#name` adds a relay's access token and a name; or a JSON list of objects with " +
			"`url`, `name`, `token` and `api_key`, the API key for that upstream; " +
			"plain http to loopback addresses only, unless `RELAY_ALLOW_PRIVATE_HTTP`",
		parseUpstreams},
	{"RELAY_ALLOW_PRIVATE_HTTP", "false",
		"`true`: allow plain http to upstreams at private addresses and at names without a dot, such as " +
			"`http://ollama:11434`; everyone on that network can read the keys and prompts",
		func(cfg *Config, v string) (err error) {
			cfg.AllowPrivateHTTP, err = parseBool(v)
			return err
		}},
	{"RELAY_POLICY", "order",
		"which healthy upstream is preferred: `order`, the first in the list, or `latency`, " +
			"the one with the lowest latency",
		func(cfg *Config, v string) error {
			cfg.Policy = failover.Policy(v)
			return nil
		}},
	{"RELAY_UPSTREAM_HTTP", "auto",
		"version of HTTP to upstreams over TLS: `auto`, HTTP/1.1 for up to 32 requests at a time to an upstream and " +
			"HTTP/2 for those beyond; `1.1`; or `2`, HTTP/2 with upstreams that speak it; always `1.1` on AWS Lambda",
		func(cfg *Config, v string) error {
			cfg.UpstreamHTTP = failover.HTTPVersion(v)
			return nil
		}},
	{"RELAY_RESEND_AMBIGUOUS", "false",
		"`true`: retry a request once if it may have been processed but got no response; " +
			"it may then be processed, and paid for, twice",
		func(cfg *Config, v string) (err error) {
			cfg.ResendAmbiguous, err = parseBool(v)
			return err
		}},
	{"RELAY_RESUME_RESPONSES", "false",
		"`true`: resume a truncated stream of a background response (`background: true`) through another upstream",
		func(cfg *Config, v string) (err error) {
			cfg.ResumeResponses, err = parseBool(v)
			return err
		}},
	{"RELAY_RETRY_QUOTA", "false",
		"`true`: try the next upstream if one responds with the error `insufficient_quota`, for requests whose API " +
			"key the relay holds",
		func(cfg *Config, v string) (err error) {
			cfg.RetryQuota, err = parseBool(v)
			return err
		}},
	{"RELAY_PROBE_INTERVAL", "10s",
		"time between health probes of each upstream, if there are several; six times as long without traffic; " +
			"`off` for none; functions never probe",
		func(cfg *Config, v string) (err error) {
			cfg.ProbeInterval, err = parseTimeout(v)
			return err
		}},
	{"RELAY_ACCESS_TOKENS", "",
		"access tokens, comma-separated, each plain or `sha256:<hex>`, or a JSON list of named ones with an end and " +
			"limits; without any, no token is needed",
		parseTokens},
	{"RELAY_ALLOW_ANYONE", "false",
		"`true`: let `relay serve` listen beyond loopback without access tokens, so that everyone who reaches it may " +
			"use it with a key of their own; functions need no token either way, and log a warning without this",
		func(cfg *Config, v string) (err error) {
			cfg.AllowAnyone, err = parseBool(v)
			return err
		}},
	{"RELAY_API_KEY", "",
		"API key that the relay sends in place of the client's, to upstreams without a key of their own; requires " +
			"access tokens",
		func(cfg *Config, v string) error {
			cfg.APIKey = Secret(v)
			return nil
		}},
	{"RELAY_API_KEY_SECRET", "",
		"on AWS Lambda, the name of the secret in AWS Secrets Manager that holds the API key, " +
			"read through AWS's Parameters and Secrets extension; nothing is relayed while it cannot be read",
		func(cfg *Config, v string) error {
			cfg.APIKeySecret = v
			return nil
		}},
	{"RELAY_PATH_TOKENS", "false",
		"`true`: accept access tokens in the path too, as `/t/<token>/v1/…`; platforms log paths",
		func(cfg *Config, v string) (err error) {
			cfg.PathTokens, err = parseBool(v)
			return err
		}},
	{"RELAY_ALLOWED_ORIGINS", "*",
		"web origins that browsers may call from besides the relay's own, comma-separated; `none` for no other; " +
			"requests from others are refused with 403",
		func(cfg *Config, v string) error {
			return setList(&cfg.AllowedOrigins, v)
		}},
	{"RELAY_ALLOWED_HOSTS", "*",
		"host names by which the relay may be called, comma-separated, without scheme, port or wildcard; on a " +
			"loopback address, `relay serve` allows that address, `localhost`, `127.0.0.1`, `::1` and " +
			"`host.docker.internal` as well, and by default nothing else",
		func(cfg *Config, v string) error {
			return setList(&cfg.AllowedHosts, v)
		}},
	{"RELAY_PATHS", "/v1/,/dashboard/",
		"path prefixes that are relayed, comma-separated",
		func(cfg *Config, v string) error {
			return setList(&cfg.Paths, v)
		}},
	{"RELAY_PAGE", "on",
		"`off`: no web page at `/`",
		func(cfg *Config, v string) error {
			if v != "on" && v != "off" {
				return errors.New("must be on or off")
			}
			cfg.NoPage = v == "off"
			return nil
		}},
	{"RELAY_MAX_BODY_BYTES", strconv.Itoa(defaultMaxBodyBytes),
		"max size of a request body, 32 MiB by default; a platform's own limit applies too",
		func(cfg *Config, v string) (err error) {
			cfg.MaxBodyBytes, err = parseSize(v)
			return err
		}},
	{"RELAY_MAX_IN_FLIGHT", strconv.Itoa(defaultMaxInFlight),
		"max requests in flight, beyond which clients get a 503; `off` for no limit, the default on functions",
		func(cfg *Config, v string) error {
			if v == "off" {
				cfg.MaxInFlight = -1
				return nil
			}
			n, err := strconv.ParseInt(v, 10, 32)
			if err != nil || n < 1 {
				return errors.New("must be a whole number from 1 on, or off")
			}
			cfg.MaxInFlight = int(n)
			return nil
		}},
	{"RELAY_IDLE_TIMEOUT", "10m",
		"max silence within a response or on a WebSocket, after which it is ended; `off` for none",
		func(cfg *Config, v string) (err error) {
			cfg.IdleTimeout, err = parseTimeout(v)
			return err
		}},
	{"RELAY_MAX_STREAM_TIME", "off",
		"max duration of a request and its response, streams and WebSockets included",
		func(cfg *Config, v string) (err error) {
			cfg.MaxStreamTime, err = parseTimeout(v)
			return err
		}},
	{"RELAY_KEEPALIVE", "off",
		"silence after which a comment is written into an event stream, for proxies that close silent connections",
		func(cfg *Config, v string) (err error) {
			cfg.Keepalive, err = parseTimeout(v)
			return err
		}},
	{"RELAY_BODY_TIMEOUT", "60s",
		"timeout for each 32 KiB of a request body, after which the client gets a 408; `off` for none",
		func(cfg *Config, v string) (err error) {
			cfg.BodyTimeout, err = parseTimeout(v)
			return err
		}},
	{"RELAY_WRITE_TIMEOUT", "30s",
		"timeout for the client to accept more of the response; `off` for none",
		func(cfg *Config, v string) (err error) {
			cfg.WriteTimeout, err = parseTimeout(v)
			return err
		}},
	{"RELAY_DRAIN_TIMEOUT", "8s",
		"how long `relay serve` lets requests in flight finish when it is stopped; event streams that are left then " +
			"end with an error event, within a second; `docker stop` kills after 10 s by default; `off` to wait " +
			"for none",
		func(cfg *Config, v string) (err error) {
			cfg.DrainTimeout, err = parseTimeout(v)
			return err
		}},
	{"RELAY_IDLE_CONNECTION_TIMEOUT", "3m",
		"how long `relay serve` keeps a client's idle connection open; must be longer than a load balancer in " +
			"front keeps it, or that sends requests into closed connections: AWS's and nginx 60 s, Google's " +
			"10 minutes; " +
			"`off` to keep it forever",
		func(cfg *Config, v string) (err error) {
			cfg.IdleConnectionTimeout, err = parseTimeout(v)
			return err
		}},
	{"RELAY_NAME", "relay",
		"name of this relay in the `X-Relay` header and in health checks",
		func(cfg *Config, v string) error {
			cfg.Name = v
			return nil
		}},
	{"RELAY_REGION", "AWS_REGION or VERCEL_REGION",
		"where this relay runs, for health checks and the log",
		func(cfg *Config, v string) error {
			cfg.Region = v
			return nil
		}},
	{"RELAY_LOG_LEVEL", "info",
		"`debug`, `info` (every request), `warn` (requests that failed, or got 429 or 5xx), `error` or `off`",
		func(cfg *Config, v string) error {
			return parseLevel(&cfg.LogLevel, v)
		}},
	{"RELAY_LOG_SAMPLE", "1",
		"log one in this many requests of level INFO, with this number as `sample`; failed ones are always logged",
		func(cfg *Config, v string) (err error) {
			cfg.LogSample, err = parseSample(v)
			return err
		}},
	{"RELAY_LOG_USAGE", "false",
		"`true`: log the model and the counts of tokens of each request, as its response has them; a chat's stream " +
			"has them if the client sets `include_usage`",
		func(cfg *Config, v string) (err error) {
			cfg.LogUsage, err = parseBool(v)
			return err
		}},
	{"RELAY_LAMBDA_INVOKE_MODE", "",
		"on AWS Lambda, the function URL's invoke mode: `BUFFERED` or `RESPONSE_STREAM`, the default",
		func(cfg *Config, v string) error {
			cfg.LambdaInvokeMode = v
			return nil
		}},
}

// levelOff is above every level that is logged.
const levelOff = slog.Level(100)

// ParseEnv returns the configuration that the RELAY_* variables of environ
// describe; environ is in the form of [os.Environ]. Empty variables count as
// unset. The error names every unknown RELAY_* variable and every bad value at
// once, on one line, without the values. What ParseEnv accepts, [New] accepts,
// but for upstreams that hold tokens on a relay which is public, see
// [Config.Public], and for the names of tokens' upstreams if there are no upstreams.
func ParseEnv(environ []string) (Config, error) {
	var cfg Config
	var errs []error
	env := make(map[string]string, len(environ))
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok {
			env[name] = value // as in a process, the last one counts
		}
	}
	env = withoutLinks(env)
	for _, s := range settings {
		value := strings.TrimSpace(env[s.Name])
		if value == "" {
			continue
		}
		err := errQuoted
		if !isQuoted(value) {
			err = s.set(&cfg, value)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.Name, err))
		}
	}
	if cfg.Region == "" {
		cfg.Region = platformRegion(env)
	}
	errs = append(errs, unknownSettings(env)...)
	errs = append(errs, cfg.problems()...)
	return cfg, oneLine(errs)
}

// platformRegion returns the region as the platform itself names it, or "".
func platformRegion(env map[string]string) string {
	for _, name := range []string{"AWS_REGION", "VERCEL_REGION"} {
		if region := env[name]; region != "" && isPrintable(region) {
			return region
		}
	}
	return ""
}

// unknownSettings returns an error for each RELAY_* name that is not a setting,
// in alphabetical order.
func unknownSettings(env map[string]string) []error {
	var errs []error
	for name := range env {
		known := slices.ContainsFunc(settings, func(s Setting) bool { return s.Name == name })
		if strings.HasPrefix(name, "RELAY_") && !known {
			errs = append(errs, fmt.Errorf("%q: no such setting%s", name, nearest(name)))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}

// withoutLinks returns env without the variables that Kubernetes and Docker set to
// describe another service or container, of which relay is a likely name.
func withoutLinks(env map[string]string) map[string]string {
	rest := maps.Clone(env)
	maps.DeleteFunc(rest, func(name, value string) bool {
		return isServiceLink(name, value) || isContainerLink(name, env)
	})
	return rest
}

// isServiceLink reports whether a variable is one that Kubernetes sets in every
// pod for a Service whose name begins with relay (Kubernetes documentation,
// Accessing the Service, Environment Variables).
func isServiceLink(name, value string) bool {
	switch {
	case serviceHost.MatchString(name):
		return true
	case servicePort.MatchString(name):
		return strings.Contains(value, "://")
	}
	return false
}

var (
	serviceHost = regexp.MustCompile(
		`^RELAY_(.*_)?(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR))$`)
	servicePort = regexp.MustCompile(`^RELAY_(.*_)?PORT(_\d+_(TCP|UDP|SCTP))?$`)
)

// isContainerLink reports whether the variable called name is one that Docker's
// legacy --link sets for a container whose alias begins with relay. For the alias
// relay-eu, RELAY_EU_NAME is /web/relay-eu, and RELAY_EU_ENV_LANG is the LANG of
// that container. The ports have the same form as a Service's.
func isContainerLink(name string, env map[string]string) bool {
	if prefix, ok := strings.CutSuffix(name, "_NAME"); ok {
		return isContainerName(prefix, env[name])
	}
	prefix, _, ok := strings.Cut(name, "_ENV_")
	// The name may be set again, to name this relay. The port still shows the link.
	return ok && (isContainerName(prefix, env[prefix+"_NAME"]) || strings.Contains(env[prefix+"_PORT"], "://"))
}

// isContainerName reports whether value is the name that Docker gives a container
// linked under the alias in prefix: /this-container/alias.
func isContainerName(prefix, value string) bool {
	parts := strings.Split(value, "/")
	return len(parts) == 3 && parts[0] == "" && parts[1] != "" &&
		strings.ToUpper(strings.ReplaceAll(parts[2], "-", "_")) == prefix
}

// nearest returns ", did you mean …" for the setting that has most of its
// beginning and end in common with name, or "" if none is near.
func nearest(name string) string {
	best, most := "", len("RELAY_")+2
	for _, s := range settings {
		limit := min(len(name), len(s.Name))
		head := 0
		for head < limit && name[head] == s.Name[head] {
			head++
		}
		tail := 0
		for tail < limit-head && name[len(name)-1-tail] == s.Name[len(s.Name)-1-tail] {
			tail++
		}
		if head+tail > most {
			best, most = s.Name, head+tail
		}
	}
	if best == "" {
		return ""
	}
	return ", did you mean " + best
}

// oneLine joins errs by semicolons. It returns nil for no errors.
func oneLine(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return &configError{errs}
}

// A configError is everything that is wrong with a configuration, on one line.
type configError struct{ errs []error }

func (e *configError) Error() string {
	texts := make([]string, len(e.errs))
	for i, err := range e.errs {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (e *configError) Unwrap() []error { return e.errs }

// setList sets dst to the entries of a comma-separated value. An empty entry is
// an error: it is a variable that was to be there, and without it a list could
// allow more than was meant.
func setList[T ~string](dst *[]T, v string) error {
	for entry := range strings.SplitSeq(v, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			return errors.New("has an empty entry next to a comma")
		}
		if isQuoted(entry) {
			return errQuoted
		}
		*dst = append(*dst, T(entry))
	}
	return nil
}

// errQuoted says that quotes are part of a value. Shells take them off; docker
// --env-file and most forms on the web do not.
var errQuoted = errors.New("is in quotes, which would be part of the value: leave them out")

// isQuoted reports whether a value begins or ends with a quotation mark.
func isQuoted(v string) bool {
	const marks = "\"'"
	return v != "" && (strings.IndexByte(marks, v[0]) >= 0 || strings.IndexByte(marks, v[len(v)-1]) >= 0)
}

func parseBool(v string) (bool, error) {
	switch v {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	}
	return false, errors.New("must be true or false")
}

func parseSize(v string) (int64, error) {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 1 {
		return 0, errors.New("must be a whole number of bytes, such as 33554432")
	}
	return n, nil
}

// parseTimeout returns a positive duration, or -1 for "off" and zero.
func parseTimeout(v string) (time.Duration, error) {
	if v == "off" {
		return -1, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		return 0, errors.New("must be a duration such as 90s or 10m, or off")
	}
	if d == 0 {
		return -1, nil
	}
	return d, nil
}

// maxLogSample is the max of Config.LogSample.
const maxLogSample = 1_000_000

func parseSample(v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > maxLogSample {
		return 0, errors.New("must be a number of requests from 1 to 1000000")
	}
	return n, nil
}

func parseLevel(level *slog.Level, v string) error {
	switch v {
	case "debug":
		*level = slog.LevelDebug
	case "info":
		*level = slog.LevelInfo
	case "warn":
		*level = slog.LevelWarn
	case "error":
		*level = slog.LevelError
	case "off":
		*level = levelOff
	default:
		return errors.New("must be debug, info, warn, error or off")
	}
	return nil
}
