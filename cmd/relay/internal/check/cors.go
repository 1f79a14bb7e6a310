package check

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

const (
	// corsOrigin stands for any web page.
	corsOrigin = "https://example.com"
	// corsHeaders are what official SDKs send from browsers, one of many
	// X-Stainless- headers among them.
	corsHeaders = "authorization, content-type, x-stainless-lang"
)

// cors finds out whether browsers may call the relay: by a preflight, and by
// an answer that a page would read.
func (d *doctor) cors(ctx context.Context) result {
	preflight, err := d.ask(d.request(ctx, http.MethodOptions, "/v1/chat/completions",
		"Origin", corsOrigin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", corsHeaders))
	if err != nil {
		return explain("http", err)
	}
	actual, err := d.ask(d.request(ctx, http.MethodGet, healthPath, "Origin", corsOrigin))
	if err != nil {
		return explain("http", err)
	}
	return judgeCORS(preflight, actual)
}

// judgeCORS returns what a browser would make of a preflight's answer and of
// the real one.
func judgeCORS(preflight, actual *answer) result {
	allowed := preflight.header.Get("Access-Control-Allow-Origin")
	refused := refusedHeaders(preflight.header)
	switch {
	case isDuplicated(preflight.header), isDuplicated(actual.header):
		return failure("cors_duplicated", "answers carry Access-Control-Allow-Origin twice, so browsers reject them",
			"turn the CORS of the platform or of the proxy in front off: the relay does it")
	case !preflight.isRelays() && (allowed == "" || refused != ""):
		return failure("cors_platform",
			fmt.Sprintf("preflights do not reach the relay: "+
				"something in front answers them %d, without permission", preflight.status),
			"let OPTIONS requests through, and turn the CORS of the platform off: the relay does it")
	case !preflight.isRelays():
		return warning("cors_platform",
			"preflights do not reach the relay: something in front answers them, with permission",
			"turn the CORS of the platform off: the relay permits headers that a fixed list forgets")
	case allowed == "":
		return warning("cors_off", "web pages may not call this relay, or not those of "+corsOrigin,
			"if pages should, add their origins to RELAY_ALLOWED_ORIGINS; * means all")
	}
	return judgePermission(preflight, actual, allowed, refused)
}

// judgePermission goes on where the relay itself permitted something.
func judgePermission(preflight, actual *answer, allowed, refused string) result {
	const meddled = "something between changes the relay's answers: let it pass Access-Control headers and OPTIONS " +
		"as they are"
	switch {
	case allowed != "*" && allowed != corsOrigin:
		return failure("cors_origin", "the preflight permits another origin than the one that asked", meddled)
	case preflight.status < 200 || preflight.status > 299:
		return failure("cors_status",
			fmt.Sprintf("the preflight is answered %d, which browsers take for a refusal", preflight.status), meddled)
	case refused != "":
		return failure("cors_headers", "the preflight does not permit "+refused, meddled)
	case actual.header.Get("Access-Control-Allow-Origin") == "":
		return failure("cors_lost", "the preflight permits what the answer then does not", meddled)
	}
	if allowed == "*" {
		return pass("web pages of every origin may call this relay")
	}
	return pass("web pages of " + corsOrigin + " may call this relay")
}

// isDuplicated reports whether a browser would find several permissions.
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
