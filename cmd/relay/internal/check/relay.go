package check

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"example.com/relay/core/protocol"
)

// parseHealth returns the health in a response, or false if it holds none.
func parseHealth(res *response) (protocol.Health, bool) {
	var h protocol.Health
	err := json.Unmarshal(res.body, &h)
	return h, err == nil && h.Status != ""
}

// relay checks whether a relay responds, and which.
func (d *doctor) relay(ctx context.Context) result {
	// Without a query it might respond as to a load balancer, whatever the host.
	res, err := d.send(d.request(ctx, http.MethodGet, protocol.HealthPath+"?check=1"))
	if err != nil {
		return explain("http", err)
	}
	d.platform = platformOf(d.base.Hostname(), res.header)
	switch code := res.relayError(); {
	case !res.isRelays():
		return d.page(res)
	case code == "relay_misconfigured":
		return failure(code, "a relay, but its settings are wrong, so it forwards nothing",
			"its log names the settings: "+logAdvice(d.platform))
	case code == "host_not_allowed":
		return failure(code, "a relay, but it does not accept this host name",
			"use the address that it printed at start-up, or add the name to RELAY_ALLOWED_HOSTS")
	case code != "":
		return failure(code, fmt.Sprintf("a relay, but it responds with %d %s", res.status, code),
			"see its log: "+logAdvice(d.platform))
	case res.status != http.StatusOK:
		return failure("relay_status", fmt.Sprintf("a relay, but it responds with %d", res.status),
			"see its log: "+logAdvice(d.platform))
	}
	var ok bool
	if d.health, ok = parseHealth(res); !ok {
		return failure("health_unreadable", "a relay, but its health cannot be read",
			"something on the way changes responses, or the relay is of another version: update both")
	}
	return pass(describe(d.health))
}

func describe(h protocol.Health) string {
	text := fmt.Sprintf("%s, version %s", brief(h.Name), brief(h.Version))
	if h.Platform != "" {
		text += " on " + brief(h.Platform)
	}
	if h.Region != "" {
		text += " in " + brief(h.Region)
	}
	return text
}

// upstream checks whether the relay reaches the API, and whether the API serves the
// relay's region.
func (d *doctor) upstream(ctx context.Context) result {
	res, err := d.send(d.request(ctx, http.MethodGet, protocol.HealthPath+"?deep=1"))
	switch {
	case err != nil && timedOut(err):
		return d.upstreamFailure(protocol.DeepCheck{Code: "upstream_timeout"})
	case err != nil:
		return explain("http", err)
	case !res.isRelays():
		return d.page(res)
	}
	h, ok := parseHealth(res)
	switch {
	case !ok || h.Upstream == nil:
		return skipped("upstream_unknown", "this relay does not report it")
	case !h.Upstream.OK:
		return d.upstreamFailure(*h.Upstream)
	}
	return pass(fmt.Sprintf("the API responds to the relay in %.0f ms", h.Upstream.LatencyMS))
}

// upstreamFailure explains the failure of an upstream.
func (d *doctor) upstreamFailure(u protocol.DeepCheck) result {
	d.upstreamFailed = true
	const where = "see whether RELAY_UPSTREAMS is right and whether the relay's network lets it " +
		"out; the relay's log says more"
	switch u.Code {
	case codeRegionRefused:
		return regionRefused()
	case "upstream_connect":
		return failure(u.Code, "the relay cannot connect to the API", where)
	case "upstream_reset":
		return failure(u.Code, "the API closes the relay's connection before it responds", where)
	case "upstream_timeout":
		return failure(u.Code, "the API does not respond to the relay in time", where)
	}
	return failure("upstream_unexpected_status",
		fmt.Sprintf("what the relay takes for the API responds with %d", u.Status),
		"see whether RELAY_UPSTREAMS is the base URL of an OpenAI API; if it is, see the API's status page")
}

// codeRegionRefused is OpenAI's code for a region that it does not serve.
const codeRegionRefused = "unsupported_country_region_territory"

func regionRefused() result {
	return failure(codeRegionRefused, "the API refuses the region that the relay runs in",
		"move the relay to a region that the API serves, such as one in the US, in Japan or in the EU: the variable "+
			"regions in Terraform")
}

// websocket reports whether the relay takes WebSockets. It never fails.
func (d *doctor) websocket(context.Context) result {
	if d.health.WebSocket {
		return pass("forwarded")
	}
	return pass("not on this platform; clients that can fall back to HTTP")
}

// logAdvice returns how to read a platform's log.
func logAdvice(platform string) string {
	switch {
	case strings.Contains(platform, lambda):
		return "aws logs tail /aws/lambda/<function>"
	case strings.Contains(platform, google):
		return "gcloud functions logs read <function> --gen2"
	case strings.Contains(platform, vercel):
		return "vercel logs <deployment>"
	}
	return "it is where relay serve runs"
}
