package core

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
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
	key   Secret              // held key, or ""
	paths bool
}

func newAccess(cfg Config) *access {
	a := &access{key: cfg.APIKey, paths: cfg.PathTokens}
	for _, token := range cfg.AccessTokens {
		a.sums = append(a.sums, tokenSum(token))
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
		admitted, err := a.admit(req)
		if err != nil {
			writeError(w, req, err)
			return
		}
		next.ServeHTTP(w, admitted)
	})
}

// admit returns req without its access token and with the API key that is due,
// or the error to answer with. Where a request carries several tokens, the
// first one counts: header, path, key.
func (a *access) admit(req *http.Request) (*http.Request, error) {
	if len(req.Header["Authorization"]) > 1 || len(req.Header["X-Relay-Token"]) > 1 {
		return nil, errDuplicateAuthorization
	}
	var tokens []string
	if header := req.Header.Get("X-Relay-Token"); header != "" {
		tokens = append(tokens, header)
	}
	if a.paths && strings.HasPrefix(req.URL.EscapedPath(), pathPrefix) {
		token, rest, ok := cutPathToken(req.URL)
		if !ok {
			return nil, errAccess
		}
		tokens = append(tokens, token)
		req = withURL(req, rest)
	}
	req, tokens = a.cutKeyTokens(req, tokens)
	if len(a.sums) > 0 && (len(tokens) == 0 || !a.known(tokens[0])) {
		return nil, errAccess
	}
	if a.key != "" {
		req = withHeader(req)
		// They go with the client's key, not with ours.
		for _, name := range append([]string{"Openai-Organization", "Openai-Project"}, keyHeaders...) {
			delete(req.Header, name)
		}
		req.Header["Authorization"] = []string{"Bearer " + string(a.key)}
	}
	return req, nil
}

// keyHeaders are where clients put API keys besides Authorization.
var keyHeaders = []string{"Api-Key", "X-Api-Key"}

// cutKeyTokens takes the tokens out of the places where clients put API keys.
func (a *access) cutKeyTokens(req *http.Request, tokens []string) (*http.Request, []string) {
	scheme, credentials := cutScheme(req.Header.Get("Authorization"))
	if token, key, ok := a.cutToken(credentials, strings.EqualFold(scheme, "Bearer")); ok {
		tokens = append(tokens, token)
		req = withKey(req, "Authorization", "Bearer ", key)
	}
	for _, name := range keyHeaders {
		if token, key, ok := a.cutToken(req.Header.Get(name), false); ok {
			tokens = append(tokens, token)
			req = withKey(req, name, "", key)
		}
	}
	protocols, token, key := a.cutProtocols(req.Header["Sec-Websocket-Protocol"])
	if token == "" && key == "" {
		return req, tokens
	}
	if token != "" {
		tokens = append(tokens, token)
	}
	if token != "" || a.key != "" {
		req = withHeader(req)
		if key != "" && a.key == "" {
			protocols = append(protocols, keyProtocol+key)
		}
		req.Header["Sec-Websocket-Protocol"] = []string{strings.Join(protocols, ", ")}
	}
	return req, tokens
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

// withKey returns a copy of req with a key, or without one, in a header.
func withKey(req *http.Request, name, scheme, key string) *http.Request {
	req = withHeader(req)
	if key == "" {
		delete(req.Header, name)
	} else {
		req.Header[name] = []string{scheme + key}
	}
	return req
}

// cutProtocols takes the API key out of the subprotocols that a browser
// offers, and the token out of the key.
func (a *access) cutProtocols(values []string) (rest []string, token, key string) {
	for _, value := range values {
		for protocol := range strings.SplitSeq(value, ",") {
			protocol = strings.TrimSpace(protocol)
			credentials, ok := strings.CutPrefix(protocol, keyProtocol)
			if !ok {
				if a.key == "" || !strings.HasPrefix(protocol, organizationProtocol) && !strings.HasPrefix(protocol, projectProtocol) {
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

// known reports whether token is one of the configured ones, in a time that
// depends on nothing but the token's length.
func (a *access) known(token string) bool {
	bare := strings.TrimPrefix(token, tokenPrefix)
	plain, prefixed := sha256.Sum256([]byte(bare)), sha256.Sum256([]byte(tokenPrefix+bare))
	found := 0
	for i := range a.sums {
		found |= subtle.ConstantTimeCompare(a.sums[i][:], plain[:])
		found |= subtle.ConstantTimeCompare(a.sums[i][:], prefixed[:])
	}
	return found == 1
}

// withHeader returns a copy of req whose header may be changed.
func withHeader(req *http.Request) *http.Request {
	with := *req
	with.Header = req.Header.Clone()
	return &with
}

// withURL returns a copy of req for another URL.
func withURL(req *http.Request, u *url.URL) *http.Request {
	with := *req
	with.URL = u
	return &with
}
