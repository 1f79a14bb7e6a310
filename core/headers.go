package core

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"example.com/relay/core/protocol"
)

// hopByHop are the headers that concern one connection only (RFC 9110, section
// 7.6.1, and what was one of them before). Expect is handled by net/http on
// either side.
var hopByHop = set(nil,
	"Connection",
	"Http2-Settings",
	"Keep-Alive",
	"Proxy-Authenticate",
	"Proxy-Authorization",
	"Proxy-Connection",
	"Te",
	"Trailer",
	"Transfer-Encoding",
	"Upgrade",
)

// droppedUp are the request headers that are hop by hop, that identify the client
// or the platform, or that could change what the request means behind the
// relay's checks.
var droppedUp = set(hopByHop,
	"B3",
	"Baggage",
	"Cdn-Loop",
	"Client-Ip",
	"Content-Length",
	"Cookie",
	"Cookie2",
	"Dnt",
	"Do-Connecting-Ip",
	"Forwarded",
	"Forwarded-For",
	"Forwarded-Proto",
	"From",
	"Function-Execution-Id",
	"Grpc-Trace-Bin",
	"Host",
	"Ms-Client-Ip",
	"Origin",
	"Priority",
	"Proxy-Client-Ip",
	"Referer",
	"Relay-Hop",
	"Sec-Gpc",
	"Sentry-Trace",
	"Traceparent",
	"Tracestate",
	"True-Client-Ip",
	"Uber-Trace-Id",
	"Via",
	"Wl-Proxy-Client-Ip",
	"X-Client-Ip",
	"X-Cloud-Trace-Context",
	"X-Cluster-Client-Ip",
	"X-Correlation-Ip",
	"X-Forwarded",
	"X-Host",
	"X-Http-Method",
	"X-Http-Method-Override",
	"X-Matched-Path",
	"X-Method-Override",
	"X-Original-Forwarded-For",
	"X-Original-Host",
	"X-Original-Remote-Addr",
	"X-Original-Url",
	"X-Originating-Ip",
	"X-Override-Url",
	"X-Proxyuser-Ip",
	"X-Real-Ip",
	"X-Remote-Addr",
	"X-Remote-Ip",
	"X-Request-Start",
	"X-Rewrite-Url",
	"X-Serverless-Authorization",
	"X-User-Ip",
)

// droppedUpPrefixes are the beginnings of more such names.
var droppedUpPrefixes = []string{
	"Akamai-",
	"Ali-Cdn-",
	"Cf-",
	"Cloudfront-",
	"Fastly-",
	"Fly-",
	"Sec-Ch-",
	"Sec-Fetch-",
	"X-Akamai-",
	"X-Amz-",
	"X-Amzn-",
	"X-Appengine-",
	"X-Arr-",
	"X-Azure-",
	"X-B3-",
	"X-Datadog-",
	"X-Envoy-",
	"X-Forwarded-",
	"X-Goog-Authenticated-User-",
	"X-Goog-Iap-",
	"X-Ms-Client-Principal",
	"X-Nf-",
	"X-Now-",
	"X-Railway-",
	"X-Relay-",
	"X-Vercel-",
}

// droppedDown are the response headers that are hop by hop, and those that are the
// upstream's own: they would pin, redirect or track clients of the relay's host,
// or give browsers orders that concern its whole origin.
var droppedDown = set(hopByHop,
	"Accept-Ch",
	"Accept-Ch-Lifetime",
	"Activate-Storage-Access",
	"Alt-Svc",
	"Clear-Site-Data",
	"Content-Security-Policy-Report-Only",
	"Critical-Ch",
	"Delegate-Ch",
	"Document-Policy",
	"Document-Policy-Report-Only",
	"Expect-Ct",
	"Feature-Policy",
	"Idp-Signin-Status",
	"Integrity-Policy",
	"Integrity-Policy-Report-Only",
	"Link",
	"Nel",
	"No-Vary-Search",
	"Observe-Browsing-Topics",
	"Origin-Agent-Cluster",
	"Origin-Trial",
	"P3p",
	"Permissions-Policy",
	"Permissions-Policy-Report-Only",
	"Public-Key-Pins",
	"Public-Key-Pins-Report-Only",
	"Refresh",
	"Report-To",
	"Reporting-Endpoints",
	"Require-Document-Policy",
	"Sec-Session-Challenge",
	"Sec-Session-Registration",
	"Secure-Session-Challenge",
	"Secure-Session-Registration",
	"Secure-Session-Skipped",
	"Server",
	"Service-Worker-Allowed",
	"Service-Worker-Navigation-Preload",
	"Set-Cookie",
	"Set-Cookie2",
	"Set-Login",
	"Shared-Storage-Write",
	"Sourcemap",
	"Speculation-Rules",
	"Strict-Transport-Security",
	"Supports-Loading-Mode",
	"Tk",
	"Use-As-Dictionary",
	"X-Content-Security-Policy",
	"X-Dns-Prefetch-Control",
	"X-Relay",
	"X-Sourcemap",
	"X-Webkit-Csp",
)

// droppedDownPrefixes are the beginnings of more such names.
var droppedDownPrefixes = []string{
	"Access-Control-",
	"Ad-Auction-",
	"Attribution-Reporting-",
	protocol.Private,
	"X-Fledge-",
}

// What every answer of an upstream carries, so that browsers never run it on the
// relay's origin, whatever it is; not to be changed.
var (
	answerPolicy = []string{"sandbox; default-src 'none'"}
	noSniff      = []string{"nosniff"}
)

// protectedHeaders are the request headers that Connection may not nominate away: a
// client that lists them wants the relay to lose its key or its body's meaning
// (CVE-2026-29054).
var protectedHeaders = set(nil, "Authorization", "Content-Encoding", "Content-Type")

// set returns the set of names, and of those in more.
func set(more map[string]bool, names ...string) map[string]bool {
	m := make(map[string]bool, len(more)+len(names))
	maps.Copy(m, more)
	for _, name := range names {
		m[name] = true
	}
	return m
}

// outboundHeader returns the headers of in that go to the upstream. The
// result shares its values with in and is otherwise the caller's.
func outboundHeader(in http.Header) http.Header {
	out := make(http.Header, len(in)) // Content-Length makes place for User-Agent or the hop
	nominated := nominations(in)
	for name, values := range in {
		if nominated[name] && !protectedHeaders[name] || !forwarded(name) {
			continue
		}
		out[outboundName(name)] = values
	}
	if _, ok := out["User-Agent"]; !ok {
		out["User-Agent"] = []string{""} // or net/http would send its own
	}
	return out
}

// outboundName writes the names of the idempotency headers in lower case. In
// their canonical form net/http takes them as leave to send a POST twice on its
// own, and the API has no such semantics.
func outboundName(name string) string {
	switch name {
	case "Idempotency-Key", "X-Idempotency-Key":
		return strings.ToLower(name)
	}
	return name
}

// forwarded reports whether a request header goes to the upstream. Names with an
// underscore do not: some servers read them as the same name with a hyphen.
func forwarded(name string) bool {
	if strings.HasPrefix(name, "X-Stainless-") && !strings.Contains(name, "_") {
		return true // half of what official SDKs send
	}
	if droppedUp[name] || strings.Contains(name, "_") {
		return false
	}
	for _, prefix := range droppedUpPrefixes {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return true
}

// nominations returns the canonical names that Connection lists, or nil.
func nominations(h http.Header) map[string]bool {
	var names map[string]bool
	for _, value := range h["Connection"] {
		for name := range strings.SplitSeq(value, ",") {
			if name = strings.TrimSpace(name); name == "" || isCommonOption(name) {
				continue
			}
			if names == nil {
				names = make(map[string]bool)
			}
			names[http.CanonicalHeaderKey(name)] = true
		}
	}
	return names
}

// isCommonOption reports whether a connection option nominates nothing that
// is not dropped anyway. Nearly all are.
func isCommonOption(option string) bool {
	return strings.EqualFold(option, "keep-alive") || strings.EqualFold(option, "close") || strings.EqualFold(option, "upgrade")
}

// firstHop is the value behind the first relay; not to be changed.
var firstHop = []string{"1"}

// setHop counts this relay among those that the request has passed.
func setHop(out, in http.Header) {
	out[protocol.Hop] = firstHop
	if n := protocol.Hops(in); n > 0 {
		out[protocol.Hop] = []string{strconv.Itoa(n + 1)}
	}
}

// copyAnswer sets on dst the headers of an upstream's answer that go to the
// client.
func copyAnswer(dst, answer http.Header) {
	nominated := nominations(answer)
	for name, values := range answer {
		if !goesDown(name) || nominated[name] || name == "Www-Authenticate" && promptsUser(values) {
			continue
		}
		if name == "Vary" {
			dst[name] = append(dst[name], values...) // cors may have set its own
			continue
		}
		dst[name] = values
	}
	if _, ok := dst["Content-Type"]; !ok {
		dst["Content-Type"] = nil // or net/http would guess one
	}
	if _, ok := dst["Cache-Control"]; !ok {
		// A cache in front of the relay must never share answers between keys.
		dst["Cache-Control"] = []string{"no-store"}
	}
	// In place of the upstream's own.
	dst["Content-Security-Policy"], dst["X-Content-Type-Options"] = answerPolicy, noSniff
}

// goesDown reports whether a response header goes to the client.
func goesDown(name string) bool {
	return !droppedDown[name] && !slices.ContainsFunc(droppedDownPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// promptsUser reports whether one of the challenges in values may make a browser
// ask its user for the password of the relay's host, which would then go
// upstream. In doubt it does: how browsers take challenges apart differs.
func promptsUser(values []string) bool {
	for _, value := range values {
		words := strings.FieldsFunc(unquoted(value), func(r rune) bool { return r == ',' || r <= ' ' })
		for _, word := range words {
			switch strings.ToLower(word) {
			case "basic", "digest", "ntlm", "negotiate", "kerberos", "passport1.4":
				return true
			}
		}
	}
	return false
}

// unquoted returns value without its quoted strings (RFC 9110, section 5.6.4), or
// all of it if it is not clear where they end.
func unquoted(value string) string {
	parts := strings.Split(value, `"`)
	if len(parts)%2 == 0 || strings.Contains(value, `\`) {
		return value
	}
	var rest strings.Builder
	for i := 0; i < len(parts); i += 2 {
		rest.WriteString(parts[i])
		rest.WriteByte(',')
	}
	return rest.String()
}

// prepareStream sets on dst what an event stream needs to get through caches
// and proxies unbuffered. Its length goes, as an error event may come on top.
func prepareStream(dst http.Header) {
	delete(dst, "Content-Length")
	dst["X-Accel-Buffering"] = []string{"no"}
	if value := strings.Join(dst["Cache-Control"], ", "); !strings.Contains(strings.ToLower(value), "no-transform") {
		dst["Cache-Control"] = []string{value + ", no-transform"}
	}
}
