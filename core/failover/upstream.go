package failover

import (
	"maps"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"

	"example.com/relay/core/failover/internal/conn"
	"example.com/relay/core/internal/apikey"
	"example.com/relay/core/protocol"
)

// An upstream is one base URL of the pool, with its connections and its health.
type upstream struct {
	base     *url.URL // its path without a trailing slash or /v1
	name     string   // for people: logs, headers, health
	token    string   // access token; never printed
	key      string   // API key; never printed
	official bool     // OpenAI's own host

	connections *conn.Set
	health      health
	silence     silence
	liveness    liveness
	suspicion   suspicion
	stall       stall
	connecting  connecting
	sizes       sizes
	refusal     refusal
	isServer    atomic.Bool // a relay that is no function, as its health check says

	mu       sync.Mutex
	inFlight map[*attempt]struct{}
}

// address identifies an upstream across SetUpstreams.
func (u *upstream) address() string { return u.token + ":" + u.key + "@" + u.base.String() }

func newUpstream(address string, opts Options) (*upstream, error) {
	parts, err := parseUpstream(address, opts)
	if err != nil {
		return nil, err
	}
	u := &upstream{base: parts.base, name: parts.name, token: parts.token, key: parts.key,
		official: IsOfficial(parts.base.Hostname())}
	u.connections = conn.NewSet(conn.Options{
		Base:      parts.base,
		TLS:       opts.TLS,
		HTTP1:     opts.HTTP == HTTP1,
		HTTP2:     opts.HTTP == HTTP2,
		Proxy:     opts.Proxy,
		Transport: opts.Transport,
		Heard:     u.silence.hear,
	})
	return u, nil
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
	_, hops := in[protocol.Hop]
	if u.token == "" && !(hops && u.official) {
		return in
	}
	out := make(http.Header, len(in)+1)
	for name, values := range in {
		out[name] = values
	}
	if u.official {
		delete(out, protocol.Hop)
	}
	if u.token != "" {
		out[protocol.Token] = []string{u.token}
	}
	return out
}

// gatewayCredentials are for a gateway in front of an API, such as Cloudflare's or
// Azure's. What a client sends one is not for the API of another account. An upstream
// without a key of its own may be that gateway, and the pool's owner has no other way to
// send it a credential, so it gets the client's.
var gatewayCredentials = []string{"Cf-Aig-Authorization", "Ocp-Apim-Subscription-Key"}

// authorized returns h with the upstream's API key, if it has one, in place of every
// other key.
func (u *upstream) authorized(h http.Header) http.Header {
	if u.key == "" {
		return h
	}
	out := maps.Clone(h)
	apikey.Replace(out, u.key)
	for _, name := range gatewayCredentials {
		delete(out, name)
	}
	return out
}

// isAPI reports whether the upstream is certainly no relay: it has a key of the API
// and no access token, and never responded as a relay.
func (u *upstream) isAPI() bool { return u.key != "" && u.token == "" && !u.health.isMarked() }

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
		if a.isAwaited() {
			return true
		}
	}
	return false
}
