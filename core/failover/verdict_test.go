package failover

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"example.com/relay/core/protocol"
)

// What a relay's error codes mean for the request and for the upstream.
func TestJudgeRelay(t *testing.T) {
	for _, test := range []struct {
		code    string
		token   string
		hops    string // as sent to the upstream
		outcome outcome
		penalty penalty
		check   check
	}{
		{"upstream_connect", "", "1", unprocessed, strike, noCheck},
		{"relay_overloaded", "", "1", unprocessed, strike, noCheck},
		{"relay_misconfigured", "", "1", unprocessed, eject, noCheck},
		{"relay_loop", "", "1", unprocessed, eject, noCheck},
		{"relay_loop", "", "2", unprocessed, noPenalty, noCheck},
		{"relay_loop", "", "nonsense", unprocessed, noPenalty, noCheck},
		{"invalid_access_token", "token", "1", unprocessed, eject, noCheck},
		{"invalid_access_token", "", "1", passThrough, noPenalty, noCheck},
		{"token_expired", "token", "1", unprocessed, eject, noCheck},
		{"token_expired", "", "1", passThrough, noPenalty, noCheck},
		{"token_not_allowed", "token", "1", unprocessed, noPenalty, noCheck},
		{"token_not_allowed", "", "1", passThrough, noPenalty, noCheck},
		{"token_rate_limited", "token", "1", passThrough, noPenalty, noCheck},
		{"token_rate_limited", "", "1", passThrough, noPenalty, noCheck},
		{"body_too_large", "", "1", unprocessed, noPenalty, noCheck},
		{"unknown_path", "", "1", unprocessed, noPenalty, noCheck},
		{"upstream_reset", "", "1", ambiguous, strike, noCheck},
		{"relay_internal_error", "", "1", ambiguous, strike, healthCheck},
		{"relay_shutdown", "", "1", ambiguous, strike, noCheck},
		{"client_timeout", "", "1", passThrough, noPenalty, noCheck},
		{"of_a_newer_relay", "", "1", passThrough, noPenalty, noCheck},
	} {
		req := &http.Request{Header: http.Header{protocol.Hop: {test.hops}}}
		got := judgeRelay(&upstream{token: test.token}, req, test.code)
		if got.outcome != test.outcome || got.penalty != test.penalty || got.check != test.check {
			t.Errorf("judgeRelay(%s, token %q, hops %s) = %+v, want %v, %v, %v",
				test.code, test.token, test.hops, got, test.outcome, test.penalty, test.check)
		}
	}
}

// What a response proves by its status and headers.
func TestJudge(t *testing.T) {
	const apiError = `{"error":{"message":"m","type":"invalid_request_error","param":null,"code":"x"}}`
	const refused = `{"error":{"message":"m","type":"request_forbidden","code":"unsupported_country_region_territory"}}`
	for _, test := range []struct {
		name    string
		status  int
		marker  string
		body    string
		isRelay bool
		outcome outcome
		penalty penalty
		own     bool // selfExplaining
	}{
		{"success", 200, "", "", true, passThrough, credit, true},
		{"success without content", 204, "", "", true, passThrough, credit, true},
		{"the API's error", 500, "r; origin=upstream", apiError, true, passThrough, credit, true},
		{"refused region", 403, "r; origin=upstream", refused, true, unprocessed, ban, true},
		{"refused region, no relay", 403, "", refused, false, unprocessed, ban, true},
		{"platform's 403", 403, "", "<html>", true, unprocessed, eject, false},
		{"API's 403 without a relay", 403, "", "<html>", false, unprocessed, noPenalty, true},
		{"API's 403 in OpenAI's shape", 403, "", apiError, false, passThrough, credit, true},
		{"platform's 429", 429, "", "slow down", true, unprocessed, strike, false},
		{"API's 429 without a relay", 429, "", "slow down", false, unprocessed, noPenalty, true},
		{"platform's login", 302, "", "", true, unprocessed, eject, false},
		{"platform's 504", 504, "", "<html>", true, ambiguous, strike, false},
		{"API's 500 without a relay", 500, "", `{"detail":"boom"}`, false, ambiguous, noPenalty, true},
		{"platform's 400", 400, "", "<html>", true, passThrough, noPenalty, true},
		{"platform's 413", 413, "", "<html>", true, unprocessed, noPenalty, false},
	} {
		res := &http.Response{
			StatusCode: test.status,
			Header:     http.Header{"Content-Type": {"text/html"}},
			Body:       io.NopCloser(strings.NewReader(test.body)),
		}
		if strings.HasPrefix(test.body, "{") {
			res.Header.Set("Content-Type", "application/json")
		}
		if test.marker != "" {
			res.Header.Set(protocol.Marker, test.marker)
		}
		got := judge(&upstream{}, &http.Request{}, res, test.isRelay)
		if got.outcome != test.outcome || got.penalty != test.penalty || got.selfExplaining != test.own {
			t.Errorf("%s: judge = %+v, want %v, %v, %v", test.name, got, test.outcome, test.penalty, test.own)
		}
		if left, err := io.ReadAll(res.Body); string(left) != test.body || err != nil {
			t.Errorf("%s: %q is left of the body, %v", test.name, left, err)
		}
	}
}

// What Cloudflare's own errors prove of a relay behind it or on it.
func TestJudgeCloudflare(t *testing.T) {
	const apiError = `{"error":{"message":"m","type":"server_error","param":null,"code":"x"}}`
	const cpu = `<html><span class="cf-error-code">1102</span>`
	for _, test := range []struct {
		name     string
		status   int
		encoding string
		body     string
		outcome  outcome
		penalty  penalty
		reason   reason
	}{
		{"web server is down", 521, "", "error code: 521", unprocessed, strike, failing},
		{"connection timed out", 522, "", "<html>", unprocessed, strike, failing},
		{"origin is unreachable", 523, "gzip", "packed", unprocessed, strike, failing},
		{"TLS handshake failed", 525, "", "error code: 525", unprocessed, strike, failing},
		{"invalid certificate", 526, "", "error code: 526", unprocessed, strike, failing},
		{"no DNS record", 530, "", "error code: 1016", unprocessed, strike, failing},
		{"the API's own 530", 530, "", apiError, passThrough, noPenalty, 0},
		{"unknown error", 520, "", "error code: 520", ambiguous, strike, provoked},
		{"timeout", 524, "", "error code: 524", ambiguous, strike, provoked},
		{"a Worker's exception", 500, "", "error code: 1101", ambiguous, strike, provoked},
		{"a Worker's CPU", 503, "", "error code: 1102", ambiguous, strike, provoked},
		{"a Worker's CPU, as a page", 503, "", cpu, ambiguous, strike, provoked},
		{"a Worker's CPU, perhaps", 503, "br", "packed", ambiguous, strike, provoked},
		{"no instance, behind Cloudflare", 503, "", "Service Unavailable", unprocessed, strike, failing},
		{"rate limit", 429, "", "error code: 1015", unprocessed, strike, failing},
	} {
		res := &http.Response{
			StatusCode: test.status,
			Header:     http.Header{"Cf-Ray": {"1"}, "Content-Type": {"text/html"}},
			Body:       io.NopCloser(strings.NewReader(test.body)),
		}
		if strings.HasPrefix(test.body, "{") {
			res.Header.Set("Content-Type", "application/json")
		}
		if test.encoding != "" {
			res.Header.Set("Content-Encoding", test.encoding)
		}
		got := judge(&upstream{}, &http.Request{}, res, true)
		if got.outcome != test.outcome || got.penalty != test.penalty || got.reason != test.reason {
			t.Errorf("%s: judge = %+v, want %v, %v, %v", test.name, got, test.outcome, test.penalty, test.reason)
		}
		if left, err := io.ReadAll(res.Body); string(left) != test.body || err != nil {
			t.Errorf("%s: %q is left of the body, %v", test.name, left, err)
		}
	}
	// api.openai.com itself stands behind Cloudflare: its word is the API's.
	res := &http.Response{StatusCode: 521, Header: http.Header{}, Body: http.NoBody}
	if got := judge(&upstream{official: true}, &http.Request{}, res, false); got.outcome != passThrough {
		t.Errorf("OpenAI's own 521: judge = %+v, want it forwarded", got)
	}
}

// An upstream goes down after three failures in a row, is left alone for longer
// each time, and is up again after a success.
func TestStrikesAndEjection(t *testing.T) {
	var h health
	for range maxStrikes - 1 {
		if h.strike("x", 1, false) != unchanged {
			t.Fatal("down too early")
		}
	}
	if h.ejected() || !h.failing() {
		t.Fatal("two strikes are not failing, or are an ejection")
	}
	h.success()
	for range maxStrikes - 1 {
		h.strike("x", 1, false)
	}
	if h.ejected() {
		t.Error("a success did not reset the strikes")
	}
	if h.strike("x", 1, true) != unchanged {
		t.Error("the last one went down")
	}
	if !h.ejected() {
		t.Error("the last one does not know that it would be down")
	}
	if h.strike("timeout", 1, false) != wentDown || !h.unresponsive() {
		t.Error("not down after the strikes")
	}
	if h.eject("x", brokenPeriod, true, false) != unchanged || h.unresponsive() {
		t.Error("ejected twice")
	}
	if h.probed() != unchanged || h.success() != cameBack || h.failing() {
		t.Error("only traffic can tell that it is over")
	}
}

// Only one request at a time tries an upstream that is down.
func TestQueueTrials(t *testing.T) {
	a, b := &upstream{name: "a"}, &upstream{name: "b"}
	fill := func() *queue {
		return &queue{left: 2, candidates: []*candidate{{upstream: a, trial: trialDue}, {upstream: b}}}
	}
	first, second := fill(), fill()
	var result Result
	if c := first.take(&result); c.name != "a" || c.trial != trialOurs || result.Attempts != 1 || first.left != 1 {
		t.Fatalf("%s, %v, %+v", c.name, c.trial, result)
	} else {
		defer c.endTrial()
	}
	if c := second.take(new(Result)); c.name != "b" || c.trial != trialNone {
		t.Errorf("%s, %v: the trial is another request's", c.name, c.trial)
	}
	if c := second.take(new(Result)); c.name != "a" || c.trial != trialNone {
		t.Errorf("%s, %v: it comes last, without a trial", c.name, c.trial)
	}
	c := first.take(&result)
	first.putBack(c, &result)
	if again := first.take(&result); again != c || result.Attempts != 2 || first.left != 0 {
		t.Errorf("%+v, %d left", result, first.left)
	}
}
