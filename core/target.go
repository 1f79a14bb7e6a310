package core

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"example.com/relay/core/protocol"
)

// target is the stage that refuses request targets that the relay and the upstream
// could read differently, and hosts that are not allowed. All that follows may rely
// on a clean absolute path.
type target struct {
	hosts []string // allowed ones, as hostOf returns them; empty: any
	local bool     // all of hosts are loopback names
}

func newTarget(cfg Config) *target {
	if slices.Contains(cfg.AllowedHosts, "*") {
		return &target{}
	}
	t := &target{local: true}
	for _, host := range cfg.AllowedHosts {
		t.hosts = append(t.hosts, hostOf(host))
		t.local = t.local && isLocalName(hostOf(host))
	}
	return t
}

// check returns why req is refused, or nil.
func (t *target) check(req *http.Request) error {
	if !isRelayedMethod(req.Method) {
		return errMethod
	}
	u := req.URL
	switch {
	case u.Opaque != "":
		return errInvalidTarget.because(errors.New("opaque"))
	case u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https":
		return errInvalidTarget.because(errors.New("scheme"))
	}
	if err := checkPath(u.EscapedPath()); err != nil {
		return errInvalidTarget.because(err)
	}
	if !t.allows(req.Host) && !t.isLoadBalancerCheck(req) {
		return errHost
	}
	return nil
}

func (t *target) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if err := t.check(req); err != nil {
			writeError(w, req, err)
			return
		}
		next.ServeHTTP(w, req)
	})
}

// allows reports whether a Host header is allowed.
func (t *target) allows(hostport string) bool {
	if len(t.hosts) == 0 {
		return true
	}
	host := hostOf(hostport)
	return slices.Contains(t.hosts, host)
}

// isLoadBalancerCheck reports whether req may be the health check of a load balancer,
// which uses an instance's IP address as its Host, or sends none, or an empty one.
// That is safe: DNS rebinding takes a name, and deep checks and streams have a
// query. If only loopback names are allowed, there must be no Host.
func (t *target) isLoadBalancerCheck(req *http.Request) bool {
	if req.URL.EscapedPath() != protocol.HealthPath || req.URL.RawQuery != "" {
		return false
	}
	host := hostOf(req.Host)
	return host == "" || !t.local && net.ParseIP(host) != nil
}

// isLocalName reports whether host is a name or address of this machine only.
func isLocalName(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback() ||
		strings.EqualFold(host, "localhost") || strings.EqualFold(host, "host.docker.internal")
}

// hostOf returns the host of a Host header in lower case, without its port, the
// brackets of an IPv6 address and the dot at the end of a full name.
func hostOf(hostport string) string {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	return strings.TrimSuffix(strings.Trim(canonicalHost(host), "[]"), ".")
}

// canonicalHost returns a host as browsers write it: in lower case, IPv6 addresses in
// their shortest form and, if there were any, in brackets.
func canonicalHost(host string) string {
	bare := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if !strings.Contains(bare, ":") {
		return strings.ToLower(host)
	}
	ip, err := netip.ParseAddr(bare)
	if err != nil || ip.Zone() != "" {
		return strings.ToLower(host)
	}
	if ip.Is4In6() { // which netip writes in a form of its own
		b := ip.As4()
		mapped := fmt.Sprintf("::ffff:%x:%x", uint16(b[0])<<8|uint16(b[1]), uint16(b[2])<<8|uint16(b[3]))
		return strings.Replace(host, bare, mapped, 1)
	}
	return strings.Replace(host, bare, ip.String(), 1)
}

// isRelayedMethod reports whether requests with method are forwarded: not CONNECT
// and TRACE (CVE-2026-71324), nor unknown ones.
func isRelayedMethod(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions:
		return true
	}
	return false
}

// checkPath returns what in an escaped path the relay and the upstream could read
// differently, or nil. It decodes the path only to check it: the path is forwarded
// unchanged.
func checkPath(escaped string) error {
	if isPlainPath(escaped) {
		return nil
	}
	if !strings.HasPrefix(escaped, "/") {
		return errors.New("not absolute")
	}
	if strings.Contains(escaped, "//") {
		return errors.New("empty segment")
	}
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return errors.New("invalid escape")
	}
	if !utf8.ValidString(path) {
		return errors.New("not UTF-8")
	}
	// An encoded # or ? could become a fragment or a query, and ; a parameter.
	if strings.ContainsFunc(path, isReserved) {
		return errors.New("reserved character")
	}
	// An encoded slash is part of an id, such as org%2Fmodel. Servers that decode it
	// see more segments, in which nothing may lead out of the prefix either.
	if strings.Contains(path, "//") || strings.HasSuffix(path, "/") && !strings.HasSuffix(escaped, "/") {
		return errors.New("empty segment beside an encoded slash")
	}
	if hasDotSegment(path) {
		return errors.New("dot segment")
	}
	return nil
}

// hasDotSegment reports whether an unescaped path has a segment . or .., or gets one
// when it is decoded again, as by two servers in a row.
func hasDotSegment(path string) bool {
	for range maxDecodings {
		for segment := range strings.SplitSeq(path, "/") {
			if segment == "." || segment == ".." {
				return true
			}
		}
		if !strings.Contains(path, "%") {
			return false
		}
		path = percentDecoded(path)
	}
	return false
}

// maxDecodings is more often than anyone decodes a path.
const maxDecodings = 4

// hasEncodedSlash reports whether an escaped path has a slash that separates no
// segments.
func hasEncodedSlash(escaped string) bool { return strings.Contains(strings.ToLower(escaped), "%2f") }

// isReserved reports whether an unescaped path must not contain r.
func isReserved(r rune) bool { return r < ' ' || r == 0x7f || strings.ContainsRune(`\;#?`, r) }

// isPlainPath reports whether a path has nothing but segments of letters, digits,
// hyphens and underscores, as nearly all do.
func isPlainPath(path string) bool {
	before := byte(0)
	for i := range len(path) {
		c := path[i]
		switch {
		case c == '/' && before != '/':
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || c == '-' || c == '_':
		default:
			return false
		}
		before = c
	}
	return path != "" && path[0] == '/'
}
