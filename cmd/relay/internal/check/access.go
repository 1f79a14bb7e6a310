package check

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"example.com/relay/core"
)

// access finds out whether the relay admits the token, and the API the key.
func (d *doctor) access(ctx context.Context) result {
	a, err := d.ask(d.authorized(d.request(ctx, http.MethodGet, "/v1/models")))
	switch {
	case err != nil:
		return explain("http", err)
	case !a.isRelays():
		return d.page(a)
	}
	code := a.relayError()
	noAnswer := strings.HasPrefix(code, "upstream_") || a.apiError() == codeRegionRefused
	d.admitted = code == "" || noAnswer || a.isUpstreams()
	switch {
	case noAnswer && d.upstreamFailed:
		return skipped("not_tried", "admitted, but the key was not tried, as upstream failed")
	case code != "":
		return d.refused(a, code)
	}
	return d.judgeOpenness(d.apiAnswer(a))
}

// judgeOpenness returns r, or a warning if all is well for everyone.
func (d *doctor) judgeOpenness(r result) result {
	if r.Verdict != verdictOK || d.health.TokenRequired || isLocal(d.base.Hostname()) {
		return r
	}
	return warning("access_open", r.Detail+"; everyone who finds this relay may use it, as it needs no access token",
		"set RELAY_ACCESS_TOKENS, unless it is meant to be open")
}

// refused says why a relay refused the request: this one, or one behind it,
// whose errors come through like the API's.
func (d *doctor) refused(a *answer, code string) result {
	switch {
	case a.isUpstreams():
		return failure(code, fmt.Sprintf("admitted, but the relay behind this one answers %d %s", a.status, code),
			"check the relay that RELAY_UPSTREAMS names, with its own token")
	case code == "invalid_access_token":
		return d.wrongToken()
	}
	return failure(code, fmt.Sprintf("the relay answers %d %s", a.status, code),
		"the relay's log tells more: "+logAdvice(d.platform))
}

// wrongToken says what is wrong with the token, as far as the doctor knows:
// the relay itself tells nobody.
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
		"see with `terraform output access_token`, or RELAY_ACCESS_TOKENS, which are valid; clients send one "+carriers)
}

// tokenInKey reports whether an API key may carry an access token.
func tokenInKey(key core.Secret, held bool) bool {
	return strings.HasPrefix(string(key), "rt_") || held && key != ""
}

// apiAnswer says what the API's answer means, which proves that the token is
// right.
func (d *doctor) apiAnswer(a *answer) result {
	code := a.apiError()
	switch {
	case code == codeRegionRefused:
		return regionRefused()
	case a.status == http.StatusOK:
		return pass("works: the API lists its models")
	case a.status == http.StatusUnauthorized:
		return d.keyRefused()
	case a.status == http.StatusForbidden:
		return warning("key_restricted", "admitted, but the API does not let this key list models"+named(code),
			"restricted keys are like that: try a call that the key is made for")
	case a.status == http.StatusTooManyRequests:
		return warning("key_limited", "admitted, but the API says that the key is at its limit"+named(code),
			"see rate limits and billing of the key's account")
	}
	return failure("api_status", fmt.Sprintf("admitted, but the API answers %d%s", a.status, named(code)),
		"see the API's status page, and whether RELAY_UPSTREAMS is the base URL of an OpenAI API")
}

// keyRefused says what the API's 401 means, which depends on whose key it saw.
func (d *doctor) keyRefused() result {
	switch {
	case d.health.HoldsKey:
		return failure("held_key_rejected", "admitted, but the API rejects the key that the relay holds",
			"set RELAY_API_KEY to a valid key")
	case d.key == "":
		return pass("all right up to the API, which asks for a key, as none was given")
	}
	return failure("key_rejected", "admitted, but the API rejects the key",
		"pass a valid API key with -key; keys end at api.openai.com, not at the relay")
}

// named appends a code that the API gave.
func named(code string) string {
	if code == "" {
		return ""
	}
	return ", " + code
}
