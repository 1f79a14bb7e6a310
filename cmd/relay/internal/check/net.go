package check

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// dns checks whether the relay's name resolves.
func (d *doctor) dns(ctx context.Context) result {
	if d.proxy != nil {
		return skipped("", "the proxy resolves the name")
	}
	host := d.base.Hostname()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return explain("dns", err)
	}
	return judgeAddresses(host, addrs)
}

// judgeAddresses judges what a name resolves to. Networks and filters that block a
// name often return an address that leads nowhere.
func judgeAddresses(host string, addrs []netip.Addr) result {
	var texts []string
	unspecified, loopback := 0, 0
	for _, addr := range addrs {
		addr = addr.Unmap()
		texts = append(texts, addr.String())
		if addr.IsUnspecified() {
			unspecified++
		}
		if addr.IsLoopback() {
			loopback++
		}
	}
	list := strings.Join(texts, ", ")
	switch {
	case len(addrs) == 0:
		return failure("dns_empty", "the name has no address", adviceName)
	case unspecified == len(addrs):
		return failure("dns_blocked", "the name resolves to "+list+", which is how filters block names", adviceName)
	case loopback == len(addrs) && !isLocal(host):
		return warning("dns_loopback", "the name resolves to this machine, "+list,
			"if the relay is elsewhere, this network blocks its name: use another resolver, or a domain of your own")
	}
	return pass(list)
}

// isLocal reports whether host is by its form on this machine or in a private
// network.
func isLocal(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// connect checks whether the relay's address, or the proxy's, accepts connections.
func (d *doctor) connect(ctx context.Context) result {
	address, what := d.address(), ""
	if d.proxy != nil {
		address, what = proxyAddress(d.proxy.Scheme, d.proxy.Hostname(), d.proxy.Port()), "the proxy, "
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	switch {
	case err == nil:
		defer conn.Close()
		return pass(what + conn.RemoteAddr().String())
	case d.proxy != nil:
		return failure("proxy_unreachable", "the proxy "+d.proxy.Host+" cannot be reached",
			"correct or unset HTTPS_PROXY and HTTP_PROXY, or add the relay's host to NO_PROXY")
	}
	r := explain("connect", err)
	if r.Code == "connect_refused" && isLocal(d.base.Hostname()) {
		r.Advice = "start the relay with relay serve, or correct the port: it prints its base URL at start-up"
	}
	return r
}

func proxyAddress(scheme, host, port string) string {
	if port == "" {
		port = map[string]string{"https": "443", "socks5": "1080", "socks5h": "1080"}[scheme]
	}
	if port == "" {
		port = "80"
	}
	return net.JoinHostPort(host, port)
}

// tls checks whether the relay has a valid certificate for its name.
func (d *doctor) tls(ctx context.Context) result {
	switch {
	case d.base.Scheme == "http" && isLocal(d.base.Hostname()):
		return skipped("", "plain http")
	case d.base.Scheme == "http":
		return warning("tls_none", "plain http: anyone on the way can read the token and the key", "use https")
	case d.proxy != nil:
		return skipped("", "goes through the proxy; the relay probe shows any problem")
	}
	config := d.transport.TLSClientConfig.Clone()
	config.ServerName = d.base.Hostname()
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", d.address())
	if err != nil {
		return explain("tls", err)
	}
	defer conn.Close()
	state := conn.(*tls.Conn).ConnectionState()
	leaf := state.PeerCertificates[0]
	return pass(fmt.Sprintf("%s, certificate valid until %s", tls.VersionName(state.Version),
		leaf.NotAfter.Format("2006-01-02")))
}
