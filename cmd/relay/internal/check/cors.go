package check

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"example.com/relay/core/protocol"
)

const (
	// corsOrigin is the origin of some web page.
	corsOrigin = "https://example.com"
	// corsHeaders are headers that official SDKs send from browsers, with one of
	// many X-Stainless- ones.
	corsHeaders = "authorization, content-type, x-stainless-lang"
)

// cors checks whether browsers may call the relay, with a preflight and with a
// request whose response a page would read.
func (d *doctor) cors(ctx context.Context) result {
	preflight, err := d.send(d.request(ctx, http.MethodOptions, "/v1/chat/completions",
		"Origin", corsOrigin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", corsHeaders))
	if err != nil {
		return explain("http", err)
	}
	actual, err := d.send(d.request(ctx, http.MethodGet, protocol.HealthPath, "Origin", corsOrigin))
	if err != nil {
		return explain("http", err)
	}
	return judgeCORS(preflight, actual)
}

// judgeCORS returns what a browser would make of the responses to a preflight and
// to the request after it.
func judgeCORS(preflight, actual *response) result {
	allowed := preflight.header.Get("Access-Control-Allow-Origin")
	refused := refusedHeaders(preflight.header)
	switch {
	case isDuplicated(preflight.header), isDuplicated(actual.header):
		return failure("cors_duplicated", "responses have Access-Control-Allow-Origin twice, so browsers reject them",
			"turn off CORS at the platform or at the proxy in front: the relay handles it")
	case !preflight.isRelays() && (allowed == "" || refused != ""):
		return failure("cors_platform",
			fmt.Sprintf("preflights do not reach the relay: "+
				"something in front responds with %d, without permission", preflight.status),
			"let OPTIONS requests through, and turn off CORS at the platform: the relay handles it")
	case !preflight.isRelays():
		return warning("cors_platform",
			"preflights do not reach the relay: something in front responds to them, with permission",
			"turn off CORS at the platform: the relay permits headers that a fixed list leaves out")
	case allowed == "":
		return warning("cors_off", "web pages may not call this relay, or not those of "+corsOrigin,
			"if pages should, add their origins to RELAY_ALLOWED_ORIGINS; * means all")
	}
	return judgePermission(preflight, actual, allowed, refused)
}

// judgePermission continues judgeCORS where the relay itself permitted an origin.
func judgePermission(preflight, actual *response, allowed, refused string) result {
	const meddled = "something in front changes the relay's responses: " +
		"let it pass Access-Control headers and OPTIONS unchanged"
	switch {
	case allowed != "*" && allowed != corsOrigin:
		return failure("cors_origin", "the preflight permits another origin than the one that asked", meddled)
	case preflight.status < 200 || preflight.status > 299:
		return failure("cors_status",
			fmt.Sprintf("the preflight gets %d, which browsers take for a refusal", preflight.status), meddled)
	case refused != "":
		return failure("cors_headers", "the preflight does not permit "+refused, meddled)
	case actual.header.Get("Access-Control-Allow-Origin") == "":
		return failure("cors_lost", "the preflight permits what the response then does not", meddled)
	}
	if allowed == "*" {
		return pass("web pages of every origin may call this relay")
	}
	return pass("web pages of " + corsOrigin + " may call this relay")
}

// isDuplicated reports whether a browser would find more than one allowed origin.
func isDuplicated(h http.Header) bool {
	values := h.Values("Access-Control-Allow-Origin")
	return len(values) > 1 || len(values) == 1 && strings.Contains(values[0], ",")
}

// refusedHeaders returns those of corsHeaders that h does not permit. "*" does
// not cover Authorization (Fetch standard, CORS protocol).
func refusedHeaders(h http.Header) string {
	permitted := make(map[string]bool)
	for name := range strings.SplitSeq(strings.Join(h.Values("Access-Control-Allow-Headers"), ","), ",") {
		permitted[strings.ToLower(strings.TrimSpace(name))] = true
	}
	var refused []string
	for name := range strings.SplitSeq(corsHeaders, ", ") {
		if !permitted[name] && (!permitted["*"] || name == "authorization") {
			refused = append(refused, name)
		}
	}
	return strings.Join(refused, ", ")
}
