package failover

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"example.com/relay/core/protocol"
)

// CheckURL returns nil if address can be an upstream of a pool with opts, that is, a
// base URL that [New] accepts. Otherwise it returns the reason, without quoting address.
func CheckURL(address string, opts Options) error {
	_, err := parseUpstream(address, opts)
	return err
}

// The parts of an upstream's address. Only base is never zero.
type parts struct {
	base             *url.URL // its path without a trailing slash or /v1
	name, token, key string
}

// parseUpstream is parseURL for a pool with opts, which may not allow plain http.
func parseUpstream(address string, opts Options) (parts, error) {
	p, err := parseURL(address)
	if err != nil {
		return parts{}, err
	}
	switch host := p.base.Hostname(); {
	case p.base.Scheme == "https" || isLoopback(host) || opts.AllowPrivateHTTP && isPrivate(host):
		return p, nil
	case isPrivate(host):
		return parts{}, errors.New("must be https: plain http would show keys to the network, and is " +
			"allowed to loopback addresses only; RELAY_ALLOW_PRIVATE_HTTP=true allows it to private addresses too")
	case opts.AllowPrivateHTTP:
		return parts{}, errors.New("must be https: plain http is allowed to loopback and private addresses " +
			"and to names without a dot only")
	}
	return parts{}, errors.New("must be https: plain http would show keys to the network, " +
		"and is allowed to loopback addresses only")
}

// Base returns the base URL in address, without access token, API key and name, and
// whether address is valid. The path has no trailing slash or /v1.
func Base(address string) (base *url.URL, ok bool) {
	p, err := parseURL(address)
	return p.base, err == nil
}

// Name returns the name of the upstream at address: its own, or else that of its host
// with the path. It returns "" if address is not valid.
func Name(address string) string {
	p, _ := parseURL(address)
	return p.name
}

// Credentials reports what address holds: an access token, an API key, or both.
func Credentials(address string) (token, key bool) {
	p, _ := parseURL(address)
	return p.token != "", p.key != ""
}

// IsOfficial reports whether host is one of OpenAI's, which are not relays.
func IsOfficial(host string) bool {
	host = strings.ToLower(host)
	return host == "api.openai.com" || strings.HasSuffix(host, ".api.openai.com")
}

// parseURL parses an upstream's address: a base URL, which may hold an access token as
// user name, an API key as password, and the upstream's name as fragment.
func parseURL(address string) (parts, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return parts{}, errors.New("must be a base URL such as https://api.openai.com")
	case !isPort(u):
		return parts{}, errors.New("has an invalid port")
	case u.RawQuery != "" || u.ForceQuery:
		return parts{}, errors.New("must not have a query")
	case u.Scheme != "https" && u.Scheme != "http":
		return parts{}, errors.New("must begin with https://")
	case strings.ContainsFunc(u.Fragment, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return parts{}, errors.New("has a name, after #, with characters that are not visible ASCII")
	}
	token, key, err := userinfo(u)
	if err != nil {
		return parts{}, err
	}
	path := strings.TrimSuffix(strings.TrimRight(u.EscapedPath(), "/"), "/v1")
	switch {
	case path != "" && !isPlain(path):
		return parts{}, errors.New("has a path that cannot be relayed to")
	case endpoint.MatchString(path):
		return parts{}, errors.New("is the address of an endpoint: leave out what follows /v1, which clients add")
	}
	base := &url.URL{Scheme: u.Scheme, Host: u.Host, RawPath: path}
	if base.Path, err = url.PathUnescape(path); err != nil {
		return parts{}, errors.New("has a path that cannot be relayed to")
	}
	return parts{base, cmp.Or(u.Fragment, base.Host+path), token, key}, nil
}

// EndpointPattern is a regular expression for the escaped paths of the API's endpoints.
// They are refused, as they are often given in place of a base URL. Base URLs with more
// after /v1 exist, such as that of an account at a gateway, and so do those that end in
// a word such as /models.
const EndpointPattern = `(^|/)chat/completions$|` +
	`/v1/(completions|responses|embeddings|models|moderations|messages|files|batches|realtime|videos|` +
	`conversations|assistants|threads|uploads|vector_stores|containers|evals|` +
	`(audio|images|realtime|responses)/[a-z_]+)$`

var endpoint = regexp.MustCompile(EndpointPattern)

// userinfo returns the access token in u, which is its user name, and the API key,
// which is its password; each may be "".
func userinfo(u *url.URL) (token, key string, err error) {
	if u.User == nil {
		return "", "", nil
	}
	key, hasKey := u.User.Password()
	token, hasToken := strings.CutPrefix(u.User.Username(), protocol.TokenPrefix)
	switch {
	case !hasToken && (u.User.Username() != "" || !hasKey):
		return "", "", errors.New("must not hold a user name or password, only an access token as " +
			"https://rt_token@host")
	case hasToken && !isCredential(token):
		return "", "", errors.New("holds an access token that is empty or has characters that are not visible ASCII")
	case hasToken && IsOfficial(u.Hostname()):
		return "", "", errors.New("must not hold an access token: OpenAI's own hosts take none")
	case hasKey && !isCredential(key):
		return "", "", errors.New("has an API key that is empty or has a character that no API key has, such as a " +
			"space or a line break")
	}
	return token, key, nil
}

// isCredential reports whether s can be an access token or an API key: visible ASCII
// without a comma.
func isCredential(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ',' })
}

// isPlain reports whether every server reads an escaped path in the same way.
func isPlain(path string) bool {
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		plain, err := url.PathUnescape(segment)
		if err != nil || plain == "" || plain == "." || plain == ".." || !utf8.ValidString(plain) ||
			strings.ContainsFunc(plain, isReserved) {
			return false
		}
	}
	return true
}

// isReserved reports whether an unescaped segment must not contain r.
func isReserved(r rune) bool { return r < ' ' || r == 0x7f || strings.ContainsRune(`/\;#?`, r) }

// isPort reports whether u has no port or a valid one.
func isPort(u *url.URL) bool {
	port := u.Port()
	if port == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// isPrivate reports whether host can only be on the user's own network: a private
// (RFC 1918, RFC 4193) or shared (RFC 6598) address, or a name without dots, such as
// that of a machine or container. A name must begin with a letter, since resolvers
// read numbers as addresses. Link-local addresses are not private: in clouds, an
// instance gets its credentials from one.
func isPrivate(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		return ip.IsPrivate() || shared.Contains(ip)
	}
	return plainName.MatchString(host)
}

var (
	shared    = netip.MustParsePrefix("100.64.0.0/10")
	plainName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,62}$`)
)

// isLoopback reports whether host is a loopback address or localhost.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
