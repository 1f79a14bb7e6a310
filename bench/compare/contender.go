package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/proc"
)

// errNotInstalled says that a contender is no part of this comparison.
var errNotInstalled = errors.New("not installed")

// A contender is a way to the upstream.
type contender struct {
	name  string
	ends  []end // that it is measured with
	start func(context.Context, *rig, end) (*running, error)
}

// Names of contenders. Others are compared with some of them.
const (
	nameDirect  = "direct, no relay"
	nameRelay   = "relay"
	nameBare    = "relay, no token and no log"
	nameGateway = "relay as a gateway to three regions"
	nameStock   = "stock httputil.ReverseProxy"
	nameFloor   = "net/http, copying and nothing else"
	nameNginx   = "nginx"
	nameHAProxy = "haproxy"
	nameCaddy   = "Caddy"
	nameWorker  = "worker on workerd"
)

var (
	all   = []end{plain, https1, https2}
	http1 = []end{plain, https1} // of those who have no HTTP/2 for upstreams
)

// contenders are all of them, in the order of the report.
var contenders = []contender{
	{nameDirect, all, startDirect},
	{nameRelay, all, func(ctx context.Context, r *rig, e end) (*running, error) {
		return startRelay(ctx, r, wholeContract, r.url(e))
	}},
	{nameBare, []end{plain}, func(ctx context.Context, r *rig, e end) (*running, error) {
		return startRelay(ctx, r, []string{"RELAY_LOG_LEVEL=off"}, r.url(e))
	}},
	{nameGateway, []end{plain}, startGateway},
	{nameFloor, http1, startFloor},
	{nameStock, all, startStock},
	{nameNginx, http1, startNginx},
	{nameHAProxy, all, startHAProxy},
	{nameCaddy, all, startCaddy},
	{nameWorker, http1, startWorker},
}

// wholeContract has the relay do all that it is for: it checks a token, puts an
// API key in its place, and logs every request. CORS and the policies for
// headers are on by default.
var wholeContract = []string{"RELAY_ACCESS_TOKENS=" + upstream.Key, "RELAY_API_KEY=sk-of-the-relay", "RELAY_LOG_LEVEL=info"}

// running is a contender that has been started.
type running struct {
	addr    string
	tls     *tls.Config   // not nil if clients must speak TLS
	process *proc.Process // nil for direct
	others  []*running    // that it needs, and whose use is not its own
	version string        // of a program that is not this repository's
}

func (c *running) stop() {
	if c.process != nil {
		c.process.Stop()
	}
	for _, other := range c.others {
		other.stop()
	}
}

// usage returns what the contender has used, which is nothing for direct.
func (c *running) usage() (proc.Usage, error) {
	if c.process == nil {
		return proc.Usage{}, nil
	}
	return c.process.Usage()
}

// startDirect has clients speak HTTP/1.1 to any upstream.
func startDirect(_ context.Context, r *rig, e end) (*running, error) {
	c := &running{addr: r.upstreams[e]}
	if e != plain {
		c.tls = r.trust
	}
	return c, nil
}

// startRelay starts a relay with the given settings. Its log goes to the null
// device. The limit of requests at a time is above that of idle streams.
func startRelay(ctx context.Context, r *rig, settings []string, upstreams ...string) (*running, error) {
	env := append([]string{"RELAY_UPSTREAMS=" + strings.Join(upstreams, ","), "RELAY_MAX_IN_FLIGHT=4000", "SSL_CERT_FILE=" + r.roots}, settings...)
	p, err := proc.Start(proc.Options{Env: env, Discard: true}, r.relay, "serve", "-listen", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	base, err := p.Await(ctx, "base URL: http://")
	if err != nil {
		p.Stop()
		return nil, err
	}
	return &running{addr: strings.TrimSuffix(base, "/v1"), process: p}, nil
}

// startGateway starts three relays and a relay before them, which alone is
// measured.
func startGateway(ctx context.Context, r *rig, e end) (_ *running, err error) {
	var regions []*running
	var urls []string
	for range 3 {
		region, err := startRelay(ctx, r, nil, r.url(e))
		if err != nil {
			(&running{others: regions}).stop()
			return nil, err
		}
		regions, urls = append(regions, region), append(urls, "http://"+region.addr)
	}
	c, err := startRelay(ctx, r, wholeContract, urls...)
	if err != nil {
		(&running{others: regions}).stop()
		return nil, err
	}
	c.others = regions
	return c, nil
}

func startFloor(ctx context.Context, r *rig, e end) (*running, error) {
	return startRole(ctx, r, roleFloor, e)
}

func startStock(ctx context.Context, r *rig, e end) (*running, error) {
	return startRole(ctx, r, roleStock, e)
}

// startRole has this program play one of its roles before the upstream.
func startRole(ctx context.Context, r *rig, role string, e end) (*running, error) {
	p, err := proc.Start(proc.Options{Env: []string{"SSL_CERT_FILE=" + r.roots}}, r.self, role, r.url(e))
	if err != nil {
		return nil, err
	}
	addr, err := p.Await(ctx, addrPrefix)
	if err != nil {
		p.Stop()
		return nil, err
	}
	return &running{addr: addr, process: p}, nil
}

// startAt starts a program that is told by its configuration to listen at addr.
func startAt(ctx context.Context, addr, version string, opts proc.Options, name string, args ...string) (*running, error) {
	p, err := proc.Start(opts, name, args...)
	if err != nil {
		return nil, err
	}
	if err := p.AwaitListening(ctx, addr); err != nil {
		p.Stop()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &running{addr: addr, process: p, version: version}, nil
}
