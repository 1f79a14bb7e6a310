package core

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"maps"
	"net/http"
	"net/url"
	"strings"
)

const (
	// tokenPrefix marks an access token inside an API key. It may stand in
	// front of a token everywhere else too.
	tokenPrefix = "rt_"

	// pathPrefix is what a path that carries a token begins with.
	pathPrefix = "/t/"

	// keyProtocol is the WebSocket subprotocol in which browsers carry the
	// API key, since they cannot set headers (openai-node, realtime).
	keyProtocol = "openai-insecure-api-key."

	// These two name what belongs to the client's key.
	organizationProtocol = "openai-organization."
	projectProtocol      = "openai-project."
)

// access is the stage that admits callers by their access token and gives
// their requests the API key to show the upstream. A token never gets further
// than here.
type access struct {
	sums  [][sha256.Size]byte // empty: everyone is admitted
	plain []string            // tokens that are configured plainly, without prefix
	key   Secret              // held key, or ""
	paths bool
}

func newAccess(cfg Config) *access {
	a := &access{key: cfg.APIKey, paths: cfg.PathTokens}
	for _, token := range cfg.AccessTokens {
		a.sums = append(a.sums, tokenSum(token))
		if !strings.HasPrefix(string(token), "sha256:") {
			a.plain = append(a.plain, strings.TrimPrefix(string(token), tokenPrefix))
		}
	}
	return a
}

// tokenSum returns the hash of a configured token.
func tokenSum(token Secret) (sum [sha256.Size]byte) {
	if digits, ok := strings.CutPrefix(string(token), "sha256:"); ok {
		// The configuration was checked; a bad hash would match nothing.
		_, _ = hex.Decode(sum[:], []byte(digits))
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
		next.ServeHTTP(w, req)
	})
}

// admit takes the access token out of req and puts in the API key that is due,
// or returns the error to answer with. Where a request carries several tokens, the
// first one counts that is not empty: header, path, key.
func (a *access) admit(req *http.Request) error {
	for _, name := range credentialHeaders {
		if len(req.Header[name]) > 1 {
			return errDuplicateAuthorization
		}
	}
	v := visitor{req: req}
	v.show(req.Header.Get("X-Relay-Token"))
	if a.paths && strings.HasPrefix(req.URL.EscapedPath(), pathPrefix) {
		token, rest, ok := cutPathToken(req.URL)
		if !ok {
			return errAccess
		}
		v.show(token)
		req.URL = rest
	}
	a.cutKeyTokens(&v)
	if len(a.sums) > 0 {
		caller := a.caller(v.token)
		if v.token == "" || caller == 0 {
			return errAccess
		}
		recordOf(req).caller = caller
	}
	if a.key != "" {
		// They go with the client's key, not with ours.
		v.set("Openai-Organization", "")
		v.set("Openai-Project", "")
		for _, name := range keyHeaders {
			v.set(name, "")
		}
		v.set("Authorization", "Bearer "+string(a.key))
	}
	if len(a.sums) > 0 && a.leaks(req, v.token) {
		return errMisplacedToken
	}
	return nil
}

// A visitor is a request at the door: what it shows, and what becomes of it.
type visitor struct {
	req    *http.Request
	copied bool   // its header was
	token  string // the first one shown, or ""
}

// show notes a token.
func (v *visitor) show(token string) {
	if v.token == "" {
		v.token = token
	}
}

// header returns the request's header as one whose values may be replaced.
func (v *visitor) header() http.Header {
	if !v.copied {
		v.copied, v.req.Header = true, maps.Clone(v.req.Header)
	}
	return v.req.Header
}

// set sets a header, or takes it out if value is "".
func (v *visitor) set(name, value string) {
	switch {
	case value != "":
		v.header()[name] = []string{value}
	case v.req.Header[name] != nil:
		delete(v.header(), name)
	}
}

// keyHeaders are where clients put API keys besides Authorization.
var keyHeaders = []string{"Api-Key", "X-Api-Key", "X-Goog-Api-Key"}

// credentialHeaders are all that may carry a token or a key. Of several values,
// two servers could take different ones.
var credentialHeaders = append([]string{"Authorization", "X-Relay-Token"}, keyHeaders...)

// cutKeyTokens takes the tokens out of the places where clients put API keys.
func (a *access) cutKeyTokens(v *visitor) {
	scheme, credentials := cutScheme(v.req.Header.Get("Authorization"))
	if token, key, ok := a.cutToken(credentials, strings.EqualFold(scheme, "Bearer")); ok {
		v.show(token)
		if key != "" {
			key = "Bearer " + key
		}
		v.set("Authorization", key)
	}
	for _, name := range keyHeaders {
		if token, key, ok := a.cutToken(v.req.Header.Get(name), false); ok {
			v.show(token)
			v.set(name, key)
		}
	}
	offered := v.req.Header["Sec-Websocket-Protocol"]
	if len(offered) == 0 {
		return
	}
	protocols, token, key := a.cutProtocols(offered)
	v.show(token)
	if token != "" || a.key != "" {
		if key != "" && a.key == "" {
			protocols = append(protocols, keyProtocol+key)
		}
		v.set("Sec-Websocket-Protocol", strings.Join(protocols, ", "))
	}
}

// cutScheme splits an Authorization value. Without a scheme, it is all
// credentials.
func cutScheme(value string) (scheme, credentials string) {
	value = strings.Trim(value, " \t")
	if i := strings.IndexAny(value, " \t"); i >= 0 {
		return value[:i], strings.Trim(value[i:], " \t")
	}
	return "", value
}

// cutToken splits credentials that carry a token. Without the prefix they are a
// token only where the relay holds the key, and only as a bearer's. A key that
// looks like a token is none: no token gets any further.
func (a *access) cutToken(credentials string, bearer bool) (token, key string, ok bool) {
	if !strings.HasPrefix(credentials, tokenPrefix) && (a.key == "" || !bearer) {
		return "", "", false
	}
	token, key, _ = strings.Cut(credentials, ".")
	if strings.HasPrefix(key, tokenPrefix) {
		key = ""
	}
	return token, key, true
}

// cutProtocols takes the API key out of the subprotocols that a browser
// offers, and the token out of the key.
func (a *access) cutProtocols(values []string) (rest []string, token, key string) {
	for _, value := range values {
		for protocol := range strings.SplitSeq(value, ",") {
			protocol = strings.TrimSpace(protocol)
			credentials, ok := strings.CutPrefix(protocol, keyProtocol)
			if !ok {
				if a.key == "" || !isCredential(protocol) {
					rest = append(rest, protocol)
				}
				continue
			}
			key = credentials
			if t, k, ok := a.cutToken(credentials, true); ok {
				token, key = t, k
			}
		}
	}
	return rest, token, key
}

// isCredential reports whether a subprotocol carries a key or what belongs to one,
// even if it is not quite as clients write it.
func isCredential(protocol string) bool {
	protocol = strings.ToLower(strings.Trim(protocol, "\"' \t"))
	return strings.HasPrefix(protocol, keyProtocol) || strings.HasPrefix(protocol, organizationProtocol) || strings.HasPrefix(protocol, projectProtocol)
}

// cutPathToken splits /t/<token>/v1/… into the token and a URL without it.
// There must be one token only, and it must not need escaping.
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

// caller returns which of the configured tokens token is, from 1 on, or 0 if it is
// none, in a time that depends on nothing but the token's length.
func (a *access) caller(token string) int {
	bare := strings.TrimPrefix(token, tokenPrefix)
	plain, prefixed := sha256.Sum256([]byte(bare)), sha256.Sum256([]byte(tokenPrefix+bare))
	found := 0
	for i := range a.sums {
		match := subtle.ConstantTimeCompare(a.sums[i][:], plain[:]) | subtle.ConstantTimeCompare(a.sums[i][:], prefixed[:])
		found = subtle.ConstantTimeSelect(match, i+1, found)
	}
	return found
}
