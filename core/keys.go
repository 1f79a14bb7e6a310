package core

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"example.com/relay/core/failover"
)

// HoldsKey reports whether the relay sends an API key of its own in every request, so
// that clients need none: there is an APIKey, or every upstream has one.
func (cfg Config) HoldsKey() bool {
	return cfg.APIKey != "" || len(cfg.Upstreams) > 0 && !slices.ContainsFunc(cfg.Upstreams, lacksKey)
}

// parseUpstreams sets the upstreams from a comma-separated list or, if v begins with a
// bracket, from a JSON list of objects.
func parseUpstreams(cfg *Config, v string) error {
	if !strings.HasPrefix(v, "[") {
		if err := setList(&cfg.Upstreams, v); err != nil {
			return err
		}
		if slices.ContainsFunc(cfg.Upstreams, holdsKey) {
			return errors.New("must not hold a password: an API key is named api_key, in a JSON list")
		}
		return nil
	}
	urls, err := failover.ParseList([]byte(v))
	for _, u := range urls {
		cfg.Upstreams = append(cfg.Upstreams, Secret(u))
	}
	return err
}

// keyPolicy is what the API keys of upstreams must agree with. It does not change.
type keyPolicy struct {
	tokenNeeded bool // clients need an access token
	holdsKey    bool // there is a key for the upstreams that have none
}

func (cfg Config) keyPolicy() keyPolicy {
	return keyPolicy{tokenNeeded: cfg.TokenNeeded(), holdsKey: cfg.APIKey != "" || cfg.APIKeySecret != ""}
}

// problems returns everything that is wrong with who may spend the keys of upstreams,
// and with where a request without a key would go.
func (k keyPolicy) problems(urls []Secret) (errs []error) {
	if !slices.ContainsFunc(urls, holdsKey) {
		return nil
	}
	if !k.tokenNeeded {
		errs = append(errs, errors.New("RELAY_UPSTREAMS: holds an API key, so it needs RELAY_ACCESS_TOKENS too, or "+
			"anyone who finds the relay could spend it"))
	}
	for i, address := range urls {
		if token, key := failover.Credentials(string(address)); !token && !key && !k.holdsKey {
			errs = append(errs, fmt.Errorf("%s: has neither an API key nor a token, but another upstream has a key: "+
				"give it one too, or set RELAY_API_KEY for all that have none", nth("RELAY_UPSTREAMS", i, len(urls))))
		}
	}
	return errs
}

// holdsKey reports whether the URL of an upstream holds an API key.
func holdsKey(address Secret) bool {
	_, key := failover.Credentials(string(address))
	return key
}

func lacksKey(address Secret) bool { return !holdsKey(address) }

// checkTokenUpstreams reports why the names of a token's upstreams cannot be used, or
// nil. Before there are any upstreams, it cannot tell.
func (cfg Config) checkTokenUpstreams(names []string) error {
	for _, name := range names {
		if len(cfg.Upstreams) > 0 && !slices.ContainsFunc(cfg.Upstreams, isNamed(name)) {
			return errors.New("names an upstream that is not in RELAY_UPSTREAMS: its name is what follows #, or else " +
				"its host and path")
		}
	}
	return nil
}

// isNamed returns a function that reports whether an upstream has that name.
func isNamed(name string) func(Secret) bool {
	return func(address Secret) bool { return failover.Name(string(address)) == name }
}
