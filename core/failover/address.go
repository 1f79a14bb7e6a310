package failover

import (
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"example.com/relay/core/protocol"
)

// CheckURL reports why address cannot be an upstream, without quoting it, or
// nil: it is a base URL as [New] takes them.
func CheckURL(address string) error {
	_, _, _, err := parseURL(address)
	return err
}

// Base returns the base URL in address without its access token and its name,
// and whether it names an upstream at all. Its path has no trailing slash or
// /v1.
func Base(address string) (base *url.URL, ok bool) {
	base, _, _, err := parseURL(address)
	return base, err == nil
}

// IsOfficial reports whether host is one of OpenAI's own, which are no relays.
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
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, "", "", errors.New("must be https: plain http would show keys to the network, " +
			"and is allowed to loopback addresses only")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, "", "", errors.New("must begin with https://")
	case strings.ContainsFunc(u.Fragment, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return nil, "", "", errors.New("has a name, after #, with characters that are not visible ASCII")
	}
	if token, err = userToken(u); err != nil {
		return nil, "", "", err
	}
	path := strings.TrimSuffix(strings.TrimRight(u.EscapedPath(), "/"), "/v1")
	if path != "" && !isPlain(path) {
		return nil, "", "", errors.New("has a path that cannot be relayed to")
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

// userToken returns the access token, which URLs hold as their user name.
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

// isPlain reports whether an escaped path means the same to every server.
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

// isLoopback reports whether host is a loopback address or localhost.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
