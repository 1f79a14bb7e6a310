package core

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"example.com/relay/core/protocol"
)

// hopByHop are the headers that apply to one connection only (RFC 9110, section
// 7.6.1, and earlier RFCs). Expect is handled by net/http on either side.
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
// or the platform, or that could change what the request means after the relay
// has checked it.
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

// droppedUpPrefixes are the prefixes of more such names.
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
// make browsers change how they treat its whole origin, or have a proxy in front of the
// relay send a file or the response of another address in place of the relay's.
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
	"X-Accel-Charset",
	"X-Accel-Expires",
	"X-Accel-Limit-Rate",
	"X-Accel-Redirect",
	"X-Content-Security-Policy",
	"X-Dns-Prefetch-Control",
	"X-Lighttpd-Send-File",
	"X-Lighttpd-Send-Tempfile",
	"X-Relay",
	"X-Reproxy-File",
	"X-Reproxy-Url",
	"X-Sendfile",
	"X-Sendfile2",
	"X-Sourcemap",
	"X-Webkit-Csp",
)

// droppedDownPrefixes are the prefixes of more such names.
var droppedDownPrefixes = []string{
	"Access-Control-",
	"Ad-Auction-",
	"Attribution-Reporting-",
	protocol.Private,
	"X-Fledge-",
}

// responsePolicy and noSniff are set on every response of an upstream, so that
// browsers never run it on the relay's origin. They are shared: read-only.
var (
	responsePolicy = []string{"sandbox; default-src 'none'"}
	noSniff        = []string{"nosniff"}
)

// protectedHeaders are the request headers that are forwarded even if Connection
// lists them: dropping them would strip the key or change how the body is read
// (CVE-2026-29054).
var protectedHeaders = set(nil, "Authorization", "Content-Encoding", "Content-Type")

// set returns the set of names and those in more.
func set(more map[string]bool, names ...string) map[string]bool {
	m := make(map[string]bool, len(more)+len(names))
	maps.Copy(m, more)
	for _, name := range names {
		m[name] = true
	}
	return m
}

// outboundHeader returns the headers of in that are forwarded to the upstream. The
// map is the caller's; the values are shared with in and must not be changed.
func outboundHeader(in http.Header) http.Header {
	out := make(http.Header, len(in)) // room for User-Agent or the hop: Content-Length is dropped
	nominated := nominations(in)
	for name, values := range in {
		if nominated[name] && !protectedHeaders[name] || !forwardsRequestHeader(name) {
			continue
		}
		out[outboundName(name)] = values
	}
	if _, ok := out["User-Agent"]; !ok {
		out["User-Agent"] = []string{""} // or net/http would send its own
	}
	return out
}

// outboundName returns the name under which a header is sent. Idempotency headers
// are lowercased: by their canonical names net/http retries a POST on its own, and
// the API does not deduplicate.
func outboundName(name string) string {
	switch name {
	case "Idempotency-Key", "X-Idempotency-Key":
		return strings.ToLower(name)
	}
	return name
}

// forwardsRequestHeader reports whether a request header is forwarded.
func forwardsRequestHeader(name string) bool {
	switch {
	case strings.Contains(name, "_"):
		return forwardsUnderscored(name)
	case strings.HasPrefix(name, "X-Stainless-"), // half of what official SDKs send
		strings.HasPrefix(name, "Cf-Aig-"): // Cloudflare's AI gateway, as an upstream
		return true
	case droppedUp[name]:
		return false
	}
	for _, prefix := range droppedUpPrefixes {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return true
}

// forwardsUnderscored reports whether a header with an underscore in its name, such as
// session_id, is forwarded. Some servers treat it as a hyphen, so its twin must be one
// that is forwarded, and that no stage reads, sets or removes.
func forwardsUnderscored(name string) bool {
	twin := http.CanonicalHeaderKey(strings.Trim(strings.ReplaceAll(name, "_", "-"), "-"))
	return forwardsRequestHeader(twin) && !handledUp[twin] &&
		!strings.HasPrefix(twin, "Openai-") && !strings.HasPrefix(twin, "Sec-Websocket-")
}

// handledUp are the request headers that are forwarded, perhaps changed by a stage.
var handledUp = set(protectedHeaders, "Accept-Encoding", "Api-Key", "Service-Worker", "X-Api-Key", "X-Goog-Api-Key")

// nominations returns the header names that Connection lists, in canonical form, or
// nil.
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

// isCommonOption reports whether a connection option is one of the usual ones,
// which name no header that would otherwise be forwarded.
func isCommonOption(option string) bool {
	return strings.EqualFold(option, "keep-alive") ||
		strings.EqualFold(option, "close") || strings.EqualFold(option, "upgrade")
}

// firstHop is the value of Relay-Hop that the first relay sends. It is shared:
// read-only.
var firstHop = []string{"1"}

// setHop sets Relay-Hop on out to that of in, counted up by one.
func setHop(out, in http.Header) {
	out[protocol.Hop] = firstHop
	if n := protocol.Hops(in); n > 0 {
		out[protocol.Hop] = []string{strconv.Itoa(n + 1)}
	}
}

// copyResponseHeader sets on dst the headers of src, an upstream's response, that
// are forwarded to the client.
func copyResponseHeader(dst, src http.Header) {
	nominated := nominations(src)
	for name, values := range src {
		if !forwardsResponseHeader(name) || nominated[name] || name == "Www-Authenticate" && promptsUser(values) {
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
		// A cache in front of the relay must not serve one key's responses to another.
		dst["Cache-Control"] = []string{"no-store"}
	}
	// These replace the upstream's own.
	dst["Content-Security-Policy"], dst["X-Content-Type-Options"] = responsePolicy, noSniff
}

// forwardsResponseHeader reports whether a response header is forwarded.
func forwardsResponseHeader(name string) bool {
	hasPrefix := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
	return !droppedDown[name] && !slices.ContainsFunc(droppedDownPrefixes, hasPrefix)
}

// promptsUser reports whether one of the challenges in values could make a browser
// ask its user for a password, which would then be forwarded to the upstream. If
// in doubt it returns true, since browsers parse challenges differently.
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
// unchanged if it is unclear where they end.
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

// prepareStream sets on dst the headers that get an event stream through caches
// and proxies unbuffered. It deletes Content-Length, since an error event may be
// appended.
func prepareStream(dst http.Header) {
	delete(dst, "Content-Length")
	dst["X-Accel-Buffering"] = []string{"no"}
	if value := strings.Join(dst["Cache-Control"], ", "); !strings.Contains(strings.ToLower(value), "no-transform") {
		dst["Cache-Control"] = []string{value + ", no-transform"}
	}
}
