package check

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// healthPath is where a relay says what it is.
const healthPath = "/relay/health"

// A health is what a relay says of itself.
type health struct {
	Status        string          `json:"status"`
	Name          string          `json:"name"`
	Version       string          `json:"version"`
	Region        string          `json:"region"`
	Platform      string          `json:"platform"`
	TokenRequired bool            `json:"token_required"`
	HoldsKey      bool            `json:"holds_key"`
	MaxBodyBytes  int64           `json:"max_body_bytes"`
	WebSocket     bool            `json:"websocket"`
	Upstream      *upstreamHealth `json:"upstream"`
}

// An upstreamHealth is what a relay says of its upstream when asked for it.
type upstreamHealth struct {
	OK        bool    `json:"ok"`
	Status    int     `json:"status"`
	Code      string  `json:"code"`
	LatencyMS float64 `json:"latency_ms"`
}

// parseHealth returns the health in an answer, or false if it holds none.
func parseHealth(a *answer) (health, bool) {
	var h health
	err := json.Unmarshal(a.body, &h)
	return h, err == nil && h.Status != ""
}

// relay finds out whether a relay answers, and which.
func (d *doctor) relay(ctx context.Context) result {
	// Without a query it might answer as to a load balancer, whatever its host.
	a, err := d.ask(d.request(ctx, http.MethodGet, healthPath+"?check=1"))
	if err != nil {
		return explain("http", err)
	}
	d.platform = platformOf(d.base.Hostname(), a.header)
	switch code := a.relayError(); {
	case !a.isRelays():
		return d.page(a)
	case code == "relay_misconfigured":
		return failure(code, "a relay, but its settings are wrong, so it relays nothing",
			"its log names the settings: "+logAdvice(d.platform))
	case code == "host_not_allowed":
		return failure(code, "a relay, but not one to be called by this name",
			"use the address that it printed at its start, or add the name to RELAY_ALLOWED_HOSTS")
	case code != "":
		return failure(code, fmt.Sprintf("a relay, but it answers %d %s", a.status, code),
			"its log tells more: "+logAdvice(d.platform))
	case a.status != http.StatusOK:
		return failure("relay_status", fmt.Sprintf("a relay, but it answers %d", a.status),
			"its log tells more: "+logAdvice(d.platform))
	}
	var ok bool
	if d.health, ok = parseHealth(a); !ok {
		return failure("health_unreadable", "a relay, but what it says of itself cannot be read",
			"something on the way changes answers, or the relay is of another version: update both")
	}
	return pass(d.health.text())
}

func (h health) text() string {
	text := fmt.Sprintf("%s, version %s", brief(h.Name), brief(h.Version))
	if h.Platform != "" {
		text += " on " + brief(h.Platform)
	}
	if h.Region != "" {
		text += " in " + brief(h.Region)
	}
	return text
}

// upstream finds out whether the relay reaches the API, and whether the API
// serves the relay's region.
func (d *doctor) upstream(ctx context.Context) result {
	a, err := d.ask(d.request(ctx, http.MethodGet, healthPath+"?deep=1"))
	switch {
	case err != nil && timedOut(err):
		return d.upstreamFailure(upstreamHealth{Code: "upstream_timeout"})
	case err != nil:
		return explain("http", err)
	case !a.isRelays():
		return d.page(a)
	}
	h, ok := parseHealth(a)
	switch {
	case !ok || h.Upstream == nil:
		return skipped("upstream_unknown", "this relay does not tell")
	case !h.Upstream.OK:
		return d.upstreamFailure(*h.Upstream)
	}
	return pass(fmt.Sprintf("the API answers the relay in %.0f ms", h.Upstream.LatencyMS))
}

// upstreamFailure says what is wrong with an upstream.
func (d *doctor) upstreamFailure(u upstreamHealth) result {
	d.upstreamFailed = true
	const where = "see whether RELAY_UPSTREAMS is right and whether the relay's network lets it " +
		"out; the relay's log tells more"
	switch u.Code {
	case codeRegionRefused:
		return regionRefused()
	case "upstream_connect":
		return failure(u.Code, "the relay cannot connect to the API", where)
	case "upstream_reset":
		return failure(u.Code, "the API cuts the relay off before it answers", where)
	case "upstream_timeout":
		return failure(u.Code, "the API does not answer the relay in time", where)
	}
	return failure("upstream_unexpected_status", fmt.Sprintf("what the relay takes for the API answers %d", u.Status),
		"see whether RELAY_UPSTREAMS is the base URL of an OpenAI API; if it is, see the API's status page")
}

// codeRegionRefused is how OpenAI calls a region that it does not serve.
const codeRegionRefused = "unsupported_country_region_territory"

func regionRefused() result {
	return failure(codeRegionRefused, "the API refuses the region that the relay runs in",
		"move the relay to a region that the API serves, such as one in the US, in Japan or in the EU: the variable "+
			"regions in Terraform")
}

// websocket says what kind of relay this is, and never fails.
func (d *doctor) websocket(context.Context) result {
	if d.health.WebSocket {
		return pass("passed through")
	}
	return pass("not on this platform; clients fall back to HTTP, where they can")
}

// logAdvice says how to read a platform's log.
func logAdvice(platform string) string {
	switch {
	case strings.Contains(platform, lambda):
		return "aws logs tail /aws/lambda/<function>"
	case strings.Contains(platform, google):
		return "gcloud functions logs read <function> --gen2"
	case strings.Contains(platform, vercel):
		return "vercel logs <deployment>"
	}
	return "where relay serve runs"
}
