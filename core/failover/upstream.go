package failover

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// An upstream is one base URL of the pool, with its connections and its health.
type upstream struct {
	base     *url.URL // its path without a trailing slash or /v1
	name     string   // for people: logs, headers, health
	token    string   // access token; never printed
	official bool     // OpenAI's own host

	connections connections
	health      health
	silence     silence
	suspicion   suspicion
	connecting  connecting

	mu       sync.Mutex
	inFlight map[*attempt]struct{}
}

// address is what an upstream is the same upstream by.
func (u *upstream) address() string { return u.token + "@" + u.base.String() }

func newUpstream(address string, opts Options) (*upstream, error) {
	base, name, token, err := parse(address)
	if err != nil {
		return nil, err
	}
	u := &upstream{base: base, name: name, token: token, official: IsOfficial(base.Hostname())}
	u.connections.open(u, opts)
	return u, nil
}

// CheckURL reports why address cannot be an upstream, without quoting it, or
// nil: it is a base URL as [New] takes them.
func CheckURL(address string) error {
	_, _, _, err := parse(address)
	return err
}

// Base returns the base URL in address without its access token and its name,
// and whether it names an upstream at all. Its path has no trailing slash or
// /v1.
func Base(address string) (base *url.URL, ok bool) {
	base, _, _, err := parse(address)
	return base, err == nil
}

// IsOfficial reports whether host is one of OpenAI's own, which are no relays.
func IsOfficial(host string) bool {
	host = strings.ToLower(host)
	return host == "api.openai.com" || strings.HasSuffix(host, ".api.openai.com")
}

// parse takes an upstream's address apart: a base URL, which may hold an access
// token as user name and the upstream's name as fragment.
func parse(address string) (base *url.URL, name, token string, err error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return nil, "", "", errors.New("must be a base URL such as https://api.openai.com")
	case !isPort(u):
		return nil, "", "", errors.New("has a port that is none")
	case u.RawQuery != "" || u.ForceQuery:
		return nil, "", "", errors.New("must not have a query")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, "", "", errors.New("must be https: plain http would show keys to the network, and is allowed to loopback addresses only")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, "", "", errors.New("must begin with https://")
	case strings.ContainsFunc(u.Fragment, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return nil, "", "", errors.New("has a name, behind #, with other than visible ASCII characters")
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

// userToken returns the access token that stands where URLs have user names.
func userToken(u *url.URL) (string, error) {
	if u.User == nil {
		return "", nil
	}
	_, hasPassword := u.User.Password()
	token, ok := strings.CutPrefix(u.User.Username(), "rt_")
	switch {
	case hasPassword || !ok:
		return "", errors.New("must not hold a user name or password, only an access token as https://rt_token@host")
	case token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ',' }):
		return "", errors.New("holds an access token with other than visible ASCII characters, or an empty one")
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
			strings.ContainsFunc(plain, func(r rune) bool { return r < ' ' || r == 0x7f || strings.ContainsRune(`/\;#?`, r) }) {
			return false
		}
	}
	return true
}

// isPort reports whether u has no port or a good one.
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

// url returns the upstream's URL for u: the path as it was escaped, the query
// to the letter.
func (u *upstream) url(of *url.URL) *url.URL {
	out := &url.URL{
		Scheme:     u.base.Scheme,
		Host:       u.base.Host,
		Path:       u.base.Path + of.Path,
		RawQuery:   of.RawQuery,
		ForceQuery: of.ForceQuery,
	}
	if u.base.RawPath != "" || of.RawPath != "" {
		out.RawPath = u.base.EscapedPath() + of.EscapedPath()
	}
	return out
}

// header returns in with what is due to this upstream: its access token, and
// nothing that is for relays only if it is none.
func (u *upstream) header(in http.Header) http.Header {
	_, hops := in["Relay-Hop"]
	if u.token == "" && !(hops && u.official) {
		return in
	}
	out := make(http.Header, len(in)+1)
	for name, values := range in {
		out[name] = values
	}
	if u.official {
		delete(out, "Relay-Hop")
	}
	if u.token != "" {
		out["X-Relay-Token"] = []string{u.token}
	}
	return out
}

// join and leave keep the attempts that are under way.
func (u *upstream) join(a *attempt) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.inFlight == nil {
		u.inFlight = make(map[*attempt]struct{})
	}
	u.inFlight[a] = struct{}{}
}

func (u *upstream) leave(a *attempt) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.inFlight, a)
}

// attempts returns those that are under way.
func (u *upstream) attempts() []*attempt {
	u.mu.Lock()
	defer u.mu.Unlock()
	list := make([]*attempt, 0, len(u.inFlight))
	for a := range u.inFlight {
		list = append(list, a)
	}
	return list
}

// isAwaited reports whether a request waits for the upstream's response.
func (u *upstream) isAwaited() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for a := range u.inFlight {
		if !a.answered.Load() {
			return true
		}
	}
	return false
}
