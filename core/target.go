package core

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"example.com/relay/core/protocol"
)

// target is the stage that refuses request targets which the relay and the
// upstream could read differently, and hosts that the relay must not answer
// to. Everything behind it may rely on a clean absolute path.
type target struct {
	hosts []string // empty: any
	local bool     // hosts are names of this machine only
}

func newTarget(cfg Config) *target {
	if slices.Contains(cfg.AllowedHosts, "*") {
		return &target{}
	}
	return &target{hosts: cfg.AllowedHosts, local: !slices.ContainsFunc(cfg.AllowedHosts, func(host string) bool { return !isLocalName(host) })}
}

// check reports why req may not pass, or nil if it may.
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
	if !t.allows(req.Host) && !t.isLoadBalancers(req) {
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

// allows reports whether the relay answers to a Host header.
func (t *target) allows(hostport string) bool {
	if len(t.hosts) == 0 {
		return true
	}
	host := hostOf(hostport)
	return slices.ContainsFunc(t.hosts, func(allowed string) bool { return strings.EqualFold(allowed, host) })
}

// isLoadBalancers reports whether req may be a load balancer's, which looks after
// the health of each instance by its IP address or without any Host. No page has
// such a host by DNS rebinding, which takes a name. Deep checks and streams have
// a query. Where only this machine calls, none stands in front but one that knows
// no Host at all.
func (t *target) isLoadBalancers(req *http.Request) bool {
	if req.URL.EscapedPath() != protocol.HealthPath || req.URL.RawQuery != "" {
		return false
	}
	host := hostOf(req.Host)
	if t.local {
		return host == "" && !req.ProtoAtLeast(1, 1)
	}
	return host == "" || net.ParseIP(host) != nil
}

// isLocalName reports whether a host name leads to this machine only.
func isLocalName(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback() || strings.EqualFold(host, "localhost") || strings.EqualFold(host, "host.docker.internal")
}

// hostOf returns the host of a Host header, without its port.
func hostOf(hostport string) string {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	return strings.TrimSuffix(strings.Trim(host, "[]"), ".")
}

// isRelayedMethod reports whether the relay hands method on. CONNECT and TRACE
// are not the API's (CVE-2026-71324), nor are invented ones.
func isRelayedMethod(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return true
	}
	return false
}

// checkPath reports what in an escaped path could mean one thing here and
// another upstream, or nil. It decodes once and only to look: the path is
// handed on as it came.
func checkPath(escaped string) error {
	if isOrdinary(escaped) {
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
		return errors.New("bad escape")
	}
	if !utf8.ValidString(path) {
		return errors.New("not UTF-8")
	}
	if strings.Count(path, "/") != strings.Count(escaped, "/") {
		return errors.New("encoded slash")
	}
	// A fragment and a query cannot be in a path, nor parameters in ours.
	if strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f || strings.ContainsRune(`\;#?`, r) }) {
		return errors.New("reserved character")
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return errors.New("dot segment")
		}
	}
	return nil
}

// isOrdinary reports whether a path has nothing but segments of letters, digits,
// hyphens and underscores, as nearly all do.
func isOrdinary(path string) bool {
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
