package check

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"example.com/relay/core"
	"example.com/relay/core/protocol"
)

// access checks whether the relay accepts the token, and the API the key.
func (d *doctor) access(ctx context.Context) result {
	res, err := d.send(d.authorized(d.request(ctx, http.MethodGet, "/v1/models")))
	switch {
	case err != nil:
		return explain("http", err)
	case !res.isRelays():
		return d.page(res)
	}
	code := res.relayError()
	noResponse := strings.HasPrefix(code, "upstream_") || res.apiError() == codeRegionRefused
	d.admitted = code == "" || noResponse || res.isUpstreams()
	switch {
	case noResponse && d.upstreamFailed:
		return skipped("not_tried", "admitted, but the key was not tried, as upstream failed")
	case code != "":
		return d.refused(res, code)
	}
	return d.judgeOpenness(d.judgeAPI(res))
}

// judgeOpenness returns r, or a warning if it passed without any access token.
func (d *doctor) judgeOpenness(r result) result {
	if r.Verdict != verdictOK || d.health.TokenRequired || isLocal(d.base.Hostname()) {
		return r
	}
	return warning("access_open", r.Detail+"; anyone who finds this relay can use it, as it needs no access token",
		"set RELAY_ACCESS_TOKENS, unless it is meant to be open")
}

// refused explains the error of a relay: of this one, or of another relay that is
// its upstream, whose errors it forwards like the API's.
func (d *doctor) refused(res *response, code string) result {
	switch {
	case res.isUpstreams():
		return failure(code, fmt.Sprintf("admitted, but its upstream, a relay, responds with %d %s", res.status, code),
			"check the relay that RELAY_UPSTREAMS names, with its own token")
	case code == "invalid_access_token":
		return d.wrongToken()
	case code == protocol.TokenExpired:
		return failure(code, "the access token has expired",
			"its operator gives it a later date in RELAY_ACCESS_TOKENS, or makes another: relay token new")
	case code == protocol.TokenNotAllowed:
		return warning(code, "the access token does not permit listing the models, so the key was not tried",
			"this is normal for a token with paths or methods of its own: try a request that it permits")
	}
	return failure(code, fmt.Sprintf("the relay responds with %d %s", res.status, code),
		"see the relay's log: "+logAdvice(d.platform))
}

// wrongToken explains why the token was refused, as far as the doctor can tell: the
// relay does not say.
func (d *doctor) wrongToken() result {
	const code = "invalid_access_token"
	carriers := "as X-Relay-Token or in the API key as rt_<token>.<key>"
	if d.health.HoldsKey {
		carriers = "as X-Relay-Token or in place of the API key as rt_<token>"
	}
	if d.token == "" && !tokenInKey(d.key, d.health.HoldsKey) {
		return failure(code, "the relay needs an access token, and none was given",
			"pass -token; the operator finds it with `terraform output access_token`; clients send it "+carriers)
	}
	return failure(code, "the access token is wrong",
		"see `terraform output access_token`, or RELAY_ACCESS_TOKENS, for the valid ones; clients send one "+carriers)
}

// tokenInKey reports whether an API key may hold an access token.
func tokenInKey(key core.Secret, held bool) bool {
	return strings.HasPrefix(string(key), protocol.TokenPrefix) || held && key != ""
}

// judgeAPI explains the API's response, which proves that the token is right.
func (d *doctor) judgeAPI(res *response) result {
	code := res.apiError()
	switch {
	case code == codeRegionRefused:
		return regionRefused()
	case res.status == http.StatusOK:
		return pass("works: the API lists its models")
	case res.status == http.StatusUnauthorized:
		return d.keyRefused()
	case res.status == http.StatusForbidden:
		return warning("key_restricted", "admitted, but the API does not let this key list models"+named(code),
			"this is normal for a restricted key: try a call that it permits")
	case res.status == http.StatusTooManyRequests:
		return warning("key_limited", "admitted, but the API says that the key has reached its limit"+named(code),
			"see the rate limits and the billing of the key's account")
	}
	return failure("api_status", fmt.Sprintf("admitted, but the API responds with %d%s", res.status, named(code)),
		"see the API's status page, and whether RELAY_UPSTREAMS is the base URL of an OpenAI API")
}

// keyRefused explains the API's 401, which depends on whose key it saw.
func (d *doctor) keyRefused() result {
	switch {
	case d.health.HoldsKey:
		return failure("held_key_rejected", "admitted, but the API rejects the key that the relay holds",
			"set RELAY_API_KEY to a valid key")
	case d.key == "":
		return pass("works up to the API, which asks for a key, as none was given")
	}
	return failure("key_rejected", "admitted, but the API rejects the key",
		"pass a valid API key with -key; keys end at api.openai.com, not at the relay")
}

// named returns a code of the API's as a suffix for a sentence, or "".
func named(code string) string {
	if code == "" {
		return ""
	}
	return ", " + code
}
