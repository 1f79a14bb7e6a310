package core

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/relay/core/failover"
)

// problems returns everything that is wrong with cfg. The errors name settings as
// the environment does and never quote a value.
func (cfg Config) problems() []error {
	var errs []error
	add := func(name string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	errs = append(errs, upstreamProblems(cfg.Upstreams, cfg.upstreamOptions())...)
	errs = append(errs, cfg.keyPolicy().problems(cfg.Upstreams)...)
	if !slices.Contains([]failover.Policy{"", failover.PreferOrder, failover.PreferFastest}, cfg.Policy) {
		add("RELAY_POLICY", errors.New("must be order or latency"))
	}
	versions := []failover.HTTPVersion{"", failover.HTTPAuto, failover.HTTP1, failover.HTTP2}
	if !slices.Contains(versions, cfg.UpstreamHTTP) {
		add("RELAY_UPSTREAM_HTTP", errors.New("must be auto, 1.1 or 2"))
	}
	if cfg.ProbeInterval > 0 && cfg.ProbeInterval < time.Second {
		add("RELAY_PROBE_INTERVAL", errors.New("must be 1s or longer, or off"))
	}
	errs = append(errs, cfg.tokenProblems()...)
	if cfg.APIKey != "" && !cfg.TokenNeeded() {
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
		add("RELAY_API_KEY_SECRET", errors.New("could not be read, so there is no API key: only functions on "+
			"AWS Lambda can, with AWS's Parameters and Secrets extension and the permission to read the secret"))
	}
	errs = append(errs, cfg.listProblems()...)
	if cfg.LogSample < 0 || cfg.LogSample > maxLogSample {
		add("RELAY_LOG_SAMPLE", errors.New("must be a number of requests from 1 to 1000000"))
	}
	if cfg.MaxBodyBytes < 0 || cfg.MaxBodyBytes > bodyLimitCeiling {
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
		add("RELAY_LAMBDA_INVOKE_MODE",
			errors.New("must be BUFFERED or RESPONSE_STREAM, the same as the function URL's invoke mode"))
	}
	return errs
}

// listProblems returns everything that is wrong with who may call, and what.
func (cfg Config) listProblems() (errs []error) {
	add := func(name string, i, n int, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", nth(name, i, n), err))
		}
	}
	for i, origin := range cfg.AllowedOrigins {
		add("RELAY_ALLOWED_ORIGINS", i, len(cfg.AllowedOrigins), checkOrigin(origin, len(cfg.AllowedOrigins)))
	}
	for i, host := range cfg.AllowedHosts {
		add("RELAY_ALLOWED_HOSTS", i, len(cfg.AllowedHosts), checkHost(host, len(cfg.AllowedHosts)))
	}
	for i, prefix := range cfg.Paths {
		add("RELAY_PATHS", i, len(cfg.Paths), checkPrefix(prefix))
	}
	return errs
}

// isPublic reports whether the relay is reachable from other machines.
func (cfg Config) isPublic() bool { return cfg.Public || cfg.Platform != (Platform{}) }

// errExposed says that anyone who finds the relay could spend its upstream's token.
var errExposed = errors.New("RELAY_UPSTREAMS: holds an access token, which everyone who reaches this relay could " +
	"spend: set RELAY_ACCESS_TOKENS too, or let only this machine reach it, by a loopback address and without " +
	"RELAY_ALLOWED_HOSTS=*")

// exposure returns errExposed if it applies. It is not one of the problems, which
// do not depend on where the relay runs.
func (cfg Config) exposure() []error {
	if cfg.isPublic() && !cfg.TokenNeeded() && holdToken(cfg.Upstreams) {
		return []error{errExposed}
	}
	return nil
}

// holdToken reports whether one of urls holds an access token.
func holdToken(urls []Secret) bool {
	return slices.ContainsFunc(urls, func(address Secret) bool {
		token, _ := failover.Credentials(string(address))
		return token
	})
}

// nth names the i-th of n values of a setting.
func nth(name string, i, n int) string {
	if n == 1 {
		return name
	}
	return fmt.Sprintf("%s, value %d", name, i+1)
}

// upstreamOptions returns the options by which a pool takes URLs of upstreams or not.
func (cfg Config) upstreamOptions() failover.Options {
	return failover.Options{AllowPrivateHTTP: cfg.AllowPrivateHTTP}
}

// upstreamProblems returns everything that is wrong with the URLs of upstreams for a
// pool with opts.
func upstreamProblems(urls []Secret, opts failover.Options) (errs []error) {
	known := make(map[string]int)
	for i, address := range urls {
		name := nth("RELAY_UPSTREAMS", i, len(urls))
		if err := failover.CheckURL(string(address), opts); err != nil {
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
	if len(t) >= 7 && strings.EqualFold(t[:7], "sha256:") && t[:7] != "sha256:" {
		return errors.New("must begin with sha256: in lower case if it is a hash")
	}
	if sum, ok := strings.CutPrefix(t, "sha256:"); ok {
		if b, err := hex.DecodeString(sum); err != nil || len(b) != 32 {
			return errors.New("must have 64 hexadecimal digits after its sha256: prefix")
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
		return errors.New("must not have spaces, commas, dots or control characters; " +
			"openssl rand -hex 32 generates one")
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
	if !isOrigin(origin) {
		return errors.New("must be *, none, or origins as browsers send them, such as https://chat.example: " +
			"lower case, without a path, a trailing slash, a wildcard or the scheme's default port")
	}
	return nil
}

// isOrigin reports whether a browser can send origin (Fetch standard, section 3.2). An
// origin in another form would match none.
func isOrigin(origin string) bool {
	parts := originForm.FindStringSubmatch(origin)
	if parts == nil {
		return false
	}
	scheme, host, port := parts[1], parts[2], parts[3]
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case port != "" && (err != nil || port != strconv.FormatUint(n, 10)):
		return false
	case scheme != "http" && scheme != "https":
		return true // of an extension or an app, whose hosts are opaque
	case scheme == "http" && port == "80" || scheme == "https" && port == "443":
		return false
	}
	return host == canonicalHost(host) && isHost(host)
}

// originForm is what an origin consists of: scheme, host and port.
var originForm = regexp.MustCompile(`^([a-z][a-z0-9+.-]*)://([A-Za-z0-9_.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?$`)

// checkHost reports why a configured host name, one of n, cannot be used.
func checkHost(host string, n int) error {
	if host == "*" {
		if n > 1 {
			return errors.New("* must stand alone")
		}
		return nil
	}
	if !isHost(host) {
		return errors.New("must be * or host names such as relay.example, without a scheme, a port, a path or " +
			"a wildcard")
	}
	return nil
}

// isHost reports whether host is a host name or an IP address.
func isHost(host string) bool {
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return ip.Zone() == "" && (ip.Is6() || !strings.Contains(host, "["))
	}
	// What ends in a number is taken for an address (URL standard, section 3.5).
	return hostName.MatchString(host) && !endsInNumber.MatchString(host)
}

var (
	hostName     = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?$`)
	endsInNumber = regexp.MustCompile(`(^|\.)([0-9]+|0[xX][0-9A-Fa-f]*)\.?$`)
)

// checkPrefix reports why a configured path prefix cannot be used.
func checkPrefix(prefix string) error {
	if !strings.HasPrefix(prefix, "/") || !strings.HasSuffix(prefix, "/") || checkPath(prefix) != nil ||
		hasEncodedSlash(prefix) {
		return errors.New("must be path prefixes with a slash at both ends, such as /v1/ here")
	}
	if prefix == "/" || strings.HasPrefix(prefix, "/relay/") || strings.HasPrefix(prefix, pathPrefix) {
		return errors.New("must leave /, /relay/ and /t/ to the relay itself")
	}
	return nil
}

// isHeaderValue reports whether s is visible ASCII without a comma, so that it can
// be a header's value or one of a list.
func isHeaderValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ',' })
}

// isPrintable reports whether s is visible ASCII and spaces.
func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f })
}
