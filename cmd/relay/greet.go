package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"example.com/relay/core"
	"example.com/relay/core/failover"
	"example.com/relay/core/protocol"
)

// greet prints what a user needs to use the relay, and the notes.
func greet(out io.Writer, addr net.Addr, cfg core.Config, notes []string) {
	base := "http://" + reachable(addr) + "/v1"
	access, key := "no access token required", "$OPENAI_API_KEY"
	if cfg.AllowAnyone && cfg.Public {
		access = "open to everyone who reaches it"
	}
	if cfg.TokenNeeded() {
		access, key = "access token required", protocol.TokenPrefix+"$TOKEN.$OPENAI_API_KEY"
		if cfg.HoldsKey() {
			key = protocol.TokenPrefix + "$TOKEN"
		}
	}
	page := ""
	if !cfg.NoPage {
		page = "page:     " + strings.TrimSuffix(base, "v1") + "\n"
	}
	if proxy := proxyName(cfg.Upstreams); proxy != "" {
		page += "proxy:    " + proxy + "\n"
	}
	for _, note := range notes {
		page += "note:     " + note + "\n"
	}
	fmt.Fprintf(out, `relay %s to %s, %s
base URL: %s
%s
try it:
  curl -N %s/chat/completions -H "Authorization: Bearer %s" -H "Content-Type: application/json" \
    -d '{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"Hello!"}]}'

`, core.Version, upstreamNames(cfg.Upstreams), access, base, page, base, key)
}

// upstreamNames returns the upstreams without their access tokens.
func upstreamNames(urls []core.Secret) string {
	if len(urls) == 0 {
		return "https://api.openai.com"
	}
	names := make([]string, len(urls))
	for i, u := range urls {
		base, _ := failover.Base(string(u)) // they were checked
		names[i] = base.String()
	}
	return strings.Join(names, ", ")
}

// proxyName returns the proxy through which upstreams are called, without its
// user and password, or "". There is at most one: HTTPS_PROXY.
func proxyName(upstreams []core.Secret) string {
	if len(upstreams) == 0 {
		upstreams = []core.Secret{"https://api.openai.com"}
	}
	for _, u := range upstreams {
		base, _ := failover.Base(string(u)) // they were checked
		if proxy, err := core.ProxyFromEnvironment(&http.Request{URL: base}); err == nil && proxy != nil {
			return proxy.Scheme + "://" + proxy.Host
		}
	}
	return ""
}

// reachable returns addr as a client on this machine can call it.
func reachable(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	return addr.String()
}
