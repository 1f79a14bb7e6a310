package core

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A NamedToken is an access token of one person or program, with what it permits.
type NamedToken struct {
	// Name stands for the token in the log and in health checks: up to 64 letters,
	// digits and the characters ._@- of which the first is a letter or digit.
	Name string

	// Token is in plain text or "sha256:" and 64 hexadecimal digits, as in
	// [Config.AccessTokens].
	Token Secret

	// Expires is when the token stops working. If zero, never.
	Expires time.Time

	// Paths are the paths that the token may request, each with everything below it:
	// /v1/responses is that and /v1/responses/…, not /v1/responses2. Each is one of
	// [Config.Paths] or below one. If empty, all of them.
	Paths []string

	// Methods are the HTTP methods that the token may use, in capitals. A WebSocket
	// is a GET. If empty, all that the relay forwards.
	Methods []string

	// Models are the models that the token may use, by the names in its requests; a
	// trailing * stands for anything. Bodies of the token's requests are read, and
	// those whose model cannot be determined are refused. If empty, all of them.
	Models []string

	// Upstreams are the names of the upstreams that the token may use. They must exist
	// when the relay starts. If empty, all.
	Upstreams []string

	// MaxInFlight is the max number of the token's requests in flight in this
	// process, WebSockets included. If zero, there is no limit.
	MaxInFlight int

	// PerMinute is the max number of the token's requests per minute in this
	// process. After a pause all of them may come at once; then one more is allowed
	// each minute/PerMinute. If zero, there is no limit.
	PerMinute int
}

// maxTokenLimit is the max of MaxInFlight and PerMinute. Above, the time between two
// requests is too short to be counted in nanoseconds.
const maxTokenLimit = 1_000_000

// TokenNeeded reports whether clients need an access token.
func (cfg Config) TokenNeeded() bool { return len(cfg.AccessTokens)+len(cfg.NamedTokens) > 0 }

// parseTokens sets the access tokens from a comma-separated list or, if v begins with
// a bracket, from a JSON list of objects and strings.
func parseTokens(cfg *Config, v string) error {
	if !strings.HasPrefix(v, "[") {
		return setList(&cfg.AccessTokens, v)
	}
	var entries []json.RawMessage
	if json.Unmarshal([]byte(v), &entries) != nil {
		// The error would quote the value.
		return errors.New("begins with a bracket, but is not a JSON list")
	}
	if len(entries) == 0 {
		return errors.New("is an empty list, which would admit everyone: leave the setting out if that is meant")
	}
	for i, entry := range entries {
		if err := parseToken(cfg, entry); err != nil {
			return fmt.Errorf("entry %d: %w", i+1, err)
		}
	}
	return nil
}

// parseToken adds an entry of the JSON list: an object, or a string as in the
// comma-separated list.
func parseToken(cfg *Config, entry json.RawMessage) error {
	var text string
	if entry[0] == '"' && json.Unmarshal(entry, &text) == nil {
		cfg.AccessTokens = append(cfg.AccessTokens, Secret(text))
		return nil
	}
	var members map[string]json.RawMessage
	if entry[0] != '{' || json.Unmarshal(entry, &members) != nil {
		return errors.New("must be an object or a string")
	}
	var token NamedToken
	var hash, plain string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if err := token.set(name, members[name], &hash, &plain); err != nil {
			return err
		}
	}
	switch {
	case hash != "" && plain != "":
		return errors.New("has both sha256 and token: leave one of them out")
	case hash != "":
		token.Token = Secret("sha256:" + strings.TrimPrefix(hash, "sha256:"))
	case strings.HasPrefix(strings.ToLower(plain), "sha256:"):
		return errors.New("has a hash as its token: name it sha256")
	default:
		token.Token = Secret(plain)
	}
	cfg.NamedTokens = append(cfg.NamedTokens, token)
	return nil
}

// set sets one member of an entry. A null is as good as none.
func (t *NamedToken) set(name string, value json.RawMessage, hash, plain *string) error {
	var ok bool
	var form string // in which it must be
	isNull := string(value) == "null"
	switch name {
	case "name":
		ok, form = decoded(value, &t.Name), "a string"
	case "sha256":
		ok, form = decoded(value, hash), "a string"
	case "token":
		ok, form = decoded(value, plain), "a string"
	case "paths":
		ok, form = decodedList(value, &t.Paths), "a list of strings that is not empty"
	case "methods":
		ok, form = decodedList(value, &t.Methods), "a list of strings that is not empty"
	case "models":
		ok, form = decodedList(value, &t.Models), "a list of strings that is not empty"
	case "upstreams":
		ok, form = decodedList(value, &t.Upstreams), "a list of strings that is not empty"
	case "expires":
		ok, form = decodedTime(value, &t.Expires), "a time such as 2027-01-31T00:00:00Z"
	case "max_in_flight":
		ok, form = decodedLimit(value, &t.MaxInFlight), "a whole number from 1 to 1000000"
	case "per_minute":
		ok, form = decodedLimit(value, &t.PerMinute), "a whole number from 1 to 1000000"
	default:
		return errors.New("has a member other than name, sha256, token, expires, paths, methods, models, upstreams, " +
			"max_in_flight and per_minute")
	}
	if !ok && !isNull {
		return fmt.Errorf("%s must be %s", name, form)
	}
	return nil
}

// decoded decodes JSON, and reports whether it has the type of dst.
func decoded[T any](value json.RawMessage, dst *T) bool {
	return string(value) != "null" && json.Unmarshal(value, dst) == nil
}

// decodedList decodes a list of strings with at least one of them: an empty list would
// permit everything.
func decodedList(value json.RawMessage, dst *[]string) bool {
	var list []*string
	if !decoded(value, &list) || len(list) == 0 || slices.Contains(list, nil) {
		return false
	}
	for _, s := range list {
		*dst = append(*dst, *s)
	}
	return true
}

// timeForm is what RFC 3339 and JavaScript agree on.
var timeForm = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?` +
	`(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`)

func decodedTime(value json.RawMessage, dst *time.Time) bool {
	var text string
	if !decoded(value, &text) || !timeForm.MatchString(text) {
		return false
	}
	at, err := time.Parse(time.RFC3339, text)
	*dst = at
	return err == nil
}

// decodedLimit decodes a number from 1 to maxTokenLimit in any form that JSON has
// for it.
func decodedLimit(value json.RawMessage, dst *int) bool {
	var n float64
	if !decoded(value, &n) || n != math.Trunc(n) || n < 1 || n > maxTokenLimit {
		return false
	}
	*dst = int(n)
	return true
}

// tokenProblems returns everything that is wrong with the access tokens. A date in
// the past is not: a function that starts again after one token's end must serve the
// others.
func (cfg Config) tokenProblems() (errs []error) {
	add := func(name string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	known := make(map[[sha256.Size]byte]bool)
	for i, token := range cfg.AccessTokens {
		add(nth("RELAY_ACCESS_TOKENS", i, len(cfg.AccessTokens)), checkToken(token))
		for _, sum := range tokenSums(token) {
			known[sum] = true
		}
	}
	names := make(map[string]bool)
	for i, token := range cfg.NamedTokens {
		label := "RELAY_ACCESS_TOKENS, named token"
		if len(cfg.NamedTokens) > 1 {
			label = fmt.Sprintf("%s %d", label, i+1)
		}
		add(label, cfg.checkNamed(token))
		if names[token.Name] {
			add(label, errors.New("has the name of another one"))
		}
		names[token.Name] = true
		sums := tokenSums(token.Token)
		if slices.ContainsFunc(sums, func(sum [sha256.Size]byte) bool { return known[sum] }) {
			add(label, errors.New("is the same token as another one"))
		}
		for _, sum := range sums {
			known[sum] = true
		}
	}
	return errs
}

// tokenSums returns the hashes by which a configured token is known.
func tokenSums(token Secret) [][sha256.Size]byte {
	if strings.HasPrefix(string(token), "sha256:") {
		return [][sha256.Size]byte{tokenSum(token)}
	}
	bare := strings.TrimPrefix(string(token), tokenPrefix)
	return [][sha256.Size]byte{sha256.Sum256([]byte(bare)), sha256.Sum256([]byte(tokenPrefix + bare))}
}

// tokenName is the form of a token's name, which is a column of logs and a label of
// metrics.
var tokenName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

// checkNamed reports why a named token cannot be used, or nil.
func (cfg Config) checkNamed(t NamedToken) error {
	if !tokenName.MatchString(t.Name) {
		return errors.New("must have a name of up to 64 letters, digits and the characters ._@- that begins with " +
			"a letter or digit")
	}
	if t.Token == "" {
		return errors.New("has neither sha256 nor token")
	}
	if err := checkToken(t.Token); err != nil {
		return err
	}
	if strings.Contains(t.Name, strings.TrimPrefix(string(t.Token), tokenPrefix)) {
		return errors.New("its name must not contain the token, because names are logged")
	}
	if t.MaxInFlight < 0 || t.PerMinute < 0 || max(t.MaxInFlight, t.PerMinute) > maxTokenLimit {
		return errors.New("has a limit that is not from 1 to 1000000")
	}
	for _, path := range t.Paths {
		if err := cfg.checkTokenPath(path); err != nil {
			return err
		}
	}
	for _, method := range t.Methods {
		if !isRelayedMethod(method) {
			return errors.New("has another method than GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS, in capitals")
		}
	}
	for _, model := range t.Models {
		if !modelForm.MatchString(model) {
			return errors.New("has a model that is not 1 to 100 letters, digits and the characters ._:/@+-, of " +
				"which a * may follow")
		}
	}
	return cfg.checkTokenUpstreams(t.Upstreams)
}

// modelForm is that of a model's name, which may end in a wildcard.
var modelForm = regexp.MustCompile(`^[A-Za-z0-9._:/@+-]{1,100}\*?$`)

// checkTokenPath reports why a token's path cannot be used, or nil.
func (cfg Config) checkTokenPath(path string) error {
	prefixes := cfg.Paths
	if len(prefixes) == 0 {
		prefixes = defaultPaths
	}
	below := strings.TrimSuffix(path, "/") + "/"
	if checkPath(below) != nil || hasEncodedSlash(below) ||
		!slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(below, p) }) {
		return errors.New("has a path that is not below one of RELAY_PATHS, such as /v1/responses is")
	}
	return nil
}
