package failover

import (
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
	_, _, _, err := parseUpstream(address, opts)
	return err
}

// parseUpstream is parseURL for a pool with opts, which may not allow plain http.
func parseUpstream(address string, opts Options) (base *url.URL, name, token string, err error) {
	if base, name, token, err = parseURL(address); err != nil {
		return nil, "", "", err
	}
	switch host := base.Hostname(); {
	case base.Scheme == "https" || isLoopback(host) || opts.AllowPrivateHTTP && isPrivate(host):
		return base, name, token, nil
	case isPrivate(host):
		return nil, "", "", errors.New("must be https: plain http would show keys to the network, and is " +
			"allowed to loopback addresses only; RELAY_ALLOW_PRIVATE_HTTP=true allows it to private addresses too")
	case opts.AllowPrivateHTTP:
		return nil, "", "", errors.New("must be https: plain http is allowed to loopback and private addresses " +
			"and to names without a dot only")
	}
	return nil, "", "", errors.New("must be https: plain http would show keys to the network, " +
		"and is allowed to loopback addresses only")
}

// Base returns the base URL in address, without access token and name, and whether
// address is valid. The path has no trailing slash or /v1.
func Base(address string) (base *url.URL, ok bool) {
	base, _, _, err := parseURL(address)
	return base, err == nil
}

// IsOfficial reports whether host is one of OpenAI's, which are not relays.
func IsOfficial(host string) bool {
	host = strings.ToLower(host)
	return host == "api.openai.com" || strings.HasSuffix(host, ".api.openai.com")
}

// parseURL parses an upstream's address: a base URL, which may hold an access
// token as user name and the upstream's name as fragment.
func parseURL(address string) (base *url.URL, name, token string, err error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return nil, "", "", errors.New("must be a base URL such as https://api.openai.com")
	case !isPort(u):
		return nil, "", "", errors.New("has an invalid port")
	case u.RawQuery != "" || u.ForceQuery:
		return nil, "", "", errors.New("must not have a query")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, "", "", errors.New("must begin with https://")
	case strings.ContainsFunc(u.Fragment, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return nil, "", "", errors.New("has a name, after #, with characters that are not visible ASCII")
	}
	if token, err = userToken(u); err != nil {
		return nil, "", "", err
	}
	path := strings.TrimSuffix(strings.TrimRight(u.EscapedPath(), "/"), "/v1")
	switch {
	case path != "" && !isPlain(path):
		return nil, "", "", errors.New("has a path that cannot be relayed to")
	case endpoint.MatchString(path):
		return nil, "", "", errors.New("is the address of an endpoint: leave out what follows /v1, which clients add")
	}
	base = &url.URL{Scheme: u.Scheme, Host: u.Host, RawPath: path}
	if base.Path, err = url.PathUnescape(path); err != nil {
		return nil, "", "", errors.New("has a path that cannot be relayed to")
	}
	if name = u.Fragment; name == "" {
		name = base.Host + path
	}
	return base, name, token, nil
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

// userToken returns the access token in u, which is its user name, or "".
func userToken(u *url.URL) (string, error) {
	if u.User == nil {
		return "", nil
	}
	_, hasPassword := u.User.Password()
	token, ok := strings.CutPrefix(u.User.Username(), protocol.TokenPrefix)
	switch {
	case hasPassword || !ok:
		return "", errors.New("must not hold a user name or password, only an access token as https://rt_token@host")
	case token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ',' }):
		return "", errors.New("holds an access token that is empty or has characters that are not visible ASCII")
	case IsOfficial(u.Hostname()):
		return "", errors.New("must not hold an access token: OpenAI's own hosts take none")
	}
	return token, nil
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
