package core

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"example.com/relay/core/failover"
	"example.com/relay/core/internal/apikey"
	"example.com/relay/core/protocol"
)

const (
	// tokenPrefix marks an access token inside an API key. Anywhere else, it is
	// optional in front of a token.
	tokenPrefix = protocol.TokenPrefix

	// pathPrefix begins a path that carries a token.
	pathPrefix = "/t/"
)

// access is the stage that admits callers by their access token and sets the API
// key that the upstream gets. No token is forwarded beyond it.
type access struct {
	sums       [][sha256.Size]byte // hashes of the tokens; empty: everyone is admitted
	grants     []*grant            // of the tokens in sums; nil for those without a name
	plain      []string            // tokens that are configured in plain text, without prefix
	key        Secret              // the relay's own API key, or ""
	pool       *failover.Pool      // whose upstreams may hold keys; nil: they do not
	pathTokens bool                // a path may carry a token
}

func newAccess(cfg Config, pool *failover.Pool) *access {
	a := &access{key: cfg.APIKey, pool: pool, pathTokens: cfg.PathTokens}
	for _, token := range cfg.AccessTokens {
		a.add(token, nil)
	}
	for _, token := range cfg.NamedTokens {
		a.add(token.Token, &grant{NamedToken: token})
	}
	return a
}

// add adds a configured token, with its grant if it has a name.
func (a *access) add(token Secret, g *grant) {
	a.sums, a.grants = append(a.sums, tokenSum(token)), append(a.grants, g)
	if !strings.HasPrefix(string(token), "sha256:") {
		a.plain = append(a.plain, strings.TrimPrefix(string(token), tokenPrefix))
	}
}

// warnOfExpired logs the names of the tokens that have expired.
func (a *access) warnOfExpired(logger *slog.Logger) {
	for _, g := range a.grants {
		if g != nil && g.isOver(time.Now()) {
			logger.Warn("token", "token", g.Name, "problem", "it has expired: remove it, or give it a later date")
		}
	}
}

// warnOfRemoved logs the names of the tokens that name upstreams which are not among
// urls.
func (a *access) warnOfRemoved(logger *slog.Logger, urls []Secret) {
	isGone := func(name string) bool { return !slices.ContainsFunc(urls, isNamed(name)) }
	for _, g := range a.grants {
		if g != nil && slices.ContainsFunc(g.Upstreams, isGone) {
			logger.Warn("token", "token", g.Name, "problem", "it names an upstream that was removed: it may "+
				"use the others that it names, if there are any")
		}
	}
}

// holdsKey reports whether the relay sends a key of its own in place of every client's.
func (a *access) holdsKey() bool { return a.key != "" || a.pool != nil && a.pool.HoldsKeys() }

// tokenSum returns the hash of a configured token.
func tokenSum(token Secret) (sum [sha256.Size]byte) {
	if digits, ok := strings.CutPrefix(string(token), "sha256:"); ok {
		// One that is invalid, for which the relay does not start, is no hash.
		if decoded, err := hex.DecodeString(digits); err == nil && len(decoded) == len(sum) {
			copy(sum[:], decoded)
		}
		return sum
	}
	return sha256.Sum256([]byte(token))
}

func (a *access) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if err := a.admit(req); err != nil {
			writeError(w, req, err)
			return
		}
		if g := recordOf(req).grant; g != nil && !g.allows(req) {
			writeError(w, req, errTokenNotAllowed)
			return
		}
		next.ServeHTTP(w, req)
	})
}

// admit removes the access token from req and sets the relay's API key if it has
// one, or returns the error to respond with. Of several tokens, the first
// non-empty one counts: header, path, key. It replaces req.URL and req.Header
// rather than change what they hold.
func (a *access) admit(req *http.Request) error {
	for _, name := range credentialHeaders {
		if len(req.Header[name]) > 1 {
			return errDuplicateAuthorization
		}
	}
	creds := credentials{req: req, held: a.holdsKey()}
	creds.addToken(req.Header.Get(protocol.Token))
	if a.pathTokens && strings.HasPrefix(req.URL.EscapedPath(), pathPrefix) {
		token, rest, ok := cutPathToken(req.URL)
		if !ok {
			return errAccess
		}
		creds.addToken(token)
		req.URL = rest
		recordOf(req).pathToken = pathPrefix + token
	}
	creds.cutKeyTokens()
	if len(a.sums) > 0 {
		caller := a.caller(creds.token)
		if creds.token == "" || caller == 0 {
			return errAccess
		}
		rec := recordOf(req)
		rec.caller, rec.grant = caller, a.grants[caller-1]
		if rec.grant != nil && rec.grant.isOver(time.Now()) {
			return errTokenExpired
		}
	}
	if creds.held {
		apikey.Replace(creds.header(), string(a.key)) // an upstream with a key of its own gets that
	}
	if len(a.sums) > 0 && a.leaksToken(req, creds.token) {
		return errMisplacedToken
	}
	return nil
}

// credentials are the access token and the keys of a request while they are being
// replaced.
type credentials struct {
	req    *http.Request
	held   bool   // the client's keys are being replaced by the relay's
	copied bool   // req.Header is a copy of our own
	token  string // the first non-empty one, or ""
}

// addToken records a token that the request presents.
func (c *credentials) addToken(token string) {
	if c.token == "" {
		c.token = token
	}
}

// header returns the request's header, whose entries may be replaced.
func (c *credentials) header() http.Header {
	if !c.copied {
		c.copied, c.req.Header = true, maps.Clone(c.req.Header)
	}
	return c.req.Header
}

// setHeader sets a header, or deletes it if value is "".
func (c *credentials) setHeader(name, value string) {
	switch {
	case value != "":
		c.header()[name] = []string{value}
	case c.req.Header[name] != nil:
		delete(c.header(), name)
	}
}

// credentialHeaders are the headers that may carry a token or a key. A request
// must have at most one value of each: two servers could use different ones.
var credentialHeaders = append([]string{"Authorization", protocol.Token}, apikey.Headers...)

// cutKeyTokens removes the tokens from wherever clients send API keys.
func (c *credentials) cutKeyTokens() {
	scheme, value := cutScheme(c.req.Header.Get("Authorization"))
	if token, key, ok := c.cutToken(value, strings.EqualFold(scheme, "Bearer")); ok {
		c.addToken(token)
		if key != "" {
			key = "Bearer " + key
		}
		c.setHeader("Authorization", key)
	}
	for _, name := range apikey.Headers {
		if token, key, ok := c.cutToken(c.req.Header.Get(name), false); ok {
			c.addToken(token)
			c.setHeader(name, key)
		}
	}
	offered := c.req.Header["Sec-Websocket-Protocol"]
	if len(offered) == 0 {
		return
	}
	protocols, token, key := c.cutProtocols(offered)
	c.addToken(token)
	if token != "" || c.held {
		if key != "" && !c.held {
			protocols = append(protocols, apikey.Protocol+key)
		}
		c.setHeader("Sec-Websocket-Protocol", strings.Join(protocols, ", "))
	}
}

// cutScheme splits the value of Authorization into scheme and credentials. The
// scheme is "" if there is none.
func cutScheme(value string) (scheme, rest string) {
	value = strings.Trim(value, " \t")
	if i := strings.IndexAny(value, " \t"); i >= 0 {
		return value[:i], strings.Trim(value[i:], " \t")
	}
	return "", value
}

// cutToken splits a value that carries a token, <token> or <token>.<key>. Without
// the prefix, it is a token only if the relay holds the API key and the value is a
// bearer's. A key that looks like a token is dropped: no token may be forwarded.
func (c *credentials) cutToken(value string, bearer bool) (token, key string, ok bool) {
	if !strings.HasPrefix(value, tokenPrefix) && (!c.held || !bearer) {
		return "", "", false
	}
	token, key, _ = strings.Cut(value, ".")
	if strings.HasPrefix(key, tokenPrefix) {
		key = ""
	}
	return token, key, true
}

// cutProtocols separates the API key from the subprotocols that a browser offers,
// and the token from the key.
func (c *credentials) cutProtocols(values []string) (rest []string, token, key string) {
	for _, value := range values {
		for protocol := range strings.SplitSeq(value, ",") {
			protocol = strings.TrimSpace(protocol)
			value, ok := strings.CutPrefix(protocol, apikey.Protocol)
			if !ok {
				if !c.held || !apikey.IsCredential(protocol) {
					rest = append(rest, protocol)
				}
				continue
			}
			key = value
			if t, k, ok := c.cutToken(value, true); ok {
				token, key = t, k
			}
		}
	}
	return rest, token, key
}

// cutPathToken splits /t/<token>/v1/… into the token and a URL without it.
// There must be exactly one token, without escapes.
func cutPathToken(u *url.URL) (token string, rest *url.URL, ok bool) {
	token, path, ok := strings.Cut(strings.TrimPrefix(u.EscapedPath(), pathPrefix), "/")
	path = "/" + path
	if !ok || token == "" || strings.Contains(token, "%") || strings.HasPrefix(path, pathPrefix) {
		return "", nil, false
	}
	rest = new(url.URL)
	*rest = *u
	rest.RawPath = path
	unescaped, err := url.PathUnescape(path)
	if err != nil {
		return "", nil, false
	}
	rest.Path = unescaped
	return token, rest, true
}

// caller returns the position of token among the configured tokens, from 1 on, or
// 0 if it is none of them. It runs in constant time for tokens of equal length.
func (a *access) caller(token string) int {
	bare := strings.TrimPrefix(token, tokenPrefix)
	plain, prefixed := sha256.Sum256([]byte(bare)), sha256.Sum256([]byte(tokenPrefix+bare))
	found := 0
	for i := range a.sums {
		match := subtle.ConstantTimeCompare(a.sums[i][:], plain[:]) |
			subtle.ConstantTimeCompare(a.sums[i][:], prefixed[:])
		found = subtle.ConstantTimeSelect(match, i+1, found)
	}
	return found
}
