package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/build"
	"example.com/relay/internal/proc"
)

// errNotInstalled says that a contender is no part of this comparison.
var errNotInstalled = errors.New("not installed")

// A contender is a way to the upstream, with a kind of upstream or on a platform.
type contender struct {
	name, on string
	program  build.Program // what to build for it, if anything
	start    func(context.Context, *rig, *row) (*running, error)
}

// Names of contenders. Others are compared with some of them.
const (
	nameDirect   = "direct, no relay"
	nameRelay    = "relay"
	nameHTTP2    = "relay, HTTP/2 to the upstream"
	nameBare     = "relay, no token and no log"
	nameUsage    = "relay that logs usage"
	nameGateway  = "relay as a gateway to three regions"
	nameStock    = "stock httputil.ReverseProxy"
	nameFloor    = "net/http, copying and nothing else"
	nameNginx    = "nginx"
	nameHAProxy  = "haproxy"
	nameCaddy    = "Caddy"
	nameWorker   = "worker on workerd"
	nameWorkerJS = "relay on workerd (worker.js)"
	namePortkey  = "Portkey's gateway"
)

// relayContenders are those of the suite relay, in the order of its report. Those
// who have no HTTP/2 for upstreams are left out there.
var relayContenders = slices.Concat(
	with(kinds, contender{name: nameDirect, start: startDirect}),
	with(kinds, contender{name: nameRelay, program: build.Relay, start: startWhole}),
	with(kinds[2:], contender{name: nameHTTP2, program: build.Relay, start: startHTTP2}),
	with(kinds[:1], contender{name: nameBare, program: build.Relay, start: startBare}),
	with(kinds[:1], contender{name: nameUsage, program: build.Relay, start: startUsage}),
	with(kinds[:1], contender{name: nameGateway, program: build.Relay, start: startGateway}),
	with(kinds[:2], contender{name: nameFloor, start: startRole(roleFloor)}),
	with(kinds, contender{name: nameStock, start: startRole(roleStock)}),
	with(kinds[:2], contender{name: nameNginx, start: startNginx}),
	with(kinds, contender{name: nameHAProxy, start: startHAProxy}),
	with(kinds, contender{name: nameCaddy, start: startCaddy}),
	with(kinds[:2], contender{name: nameWorker, start: startWorker}),
	with(kinds[:1], contender{name: nameWorkerJS, start: startWorkerJS}),
	with(kinds[:1], contender{name: namePortkey, start: startPortkey}),
)

// with returns a contender with each kind of upstream.
func with(kinds []string, c contender) (all []contender) {
	for _, c.on = range kinds {
		all = append(all, c)
	}
	return all
}

// wholeContract has the relay do all that it is for: it checks a token, puts an
// API key in its place, and logs every request. CORS and the policies for
// headers are on by default.
var wholeContract = []string{
	"RELAY_ACCESS_TOKENS=" + upstream.Key, "RELAY_API_KEY=sk-of-the-relay", "RELAY_LOG_LEVEL=info",
}

// running is a contender that has been started. It must be stopped.
type running struct {
	addr     string
	tls      *tls.Config   // not nil if clients must speak TLS
	process  *proc.Process // nil for direct, and for a function
	function *function     // nil for all others
	listened float64       // ms from exec to the first connection that was taken, if that was waited for
	others   []*running    // that it needs, and whose use is not its own
	version  string        // of a program that is not this repository's
	header   string        // lines that its requests must have
}

// request returns a call's request for the contender.
func (c *running) request(call upstream.Call) []byte {
	line, rest, _ := strings.Cut(string(call.Request(c.addr)), "\r\n")
	return []byte(line + "\r\n" + c.header + rest)
}

func (c *running) stop() {
	if c.process != nil {
		c.process.Stop()
	}
	if c.function != nil {
		c.function.close()
	}
	for _, other := range c.others {
		other.stop()
	}
}

// usage returns what the contender has used, which is nothing for direct.
func (c *running) usage() (proc.Usage, error) {
	switch {
	case c.function != nil:
		return c.function.usage()
	case c.process != nil:
		return c.process.Usage()
	}
	return proc.Usage{}, nil
}

// startDirect has clients speak HTTP/1.1 to any upstream.
func startDirect(_ context.Context, r *rig, w *row) (*running, error) {
	c := &running{addr: r.upstreams[w.on]}
	if w.on != plain {
		c.tls = r.trust
	}
	return c, nil
}

func startWhole(ctx context.Context, r *rig, w *row) (*running, error) {
	return startRelay(ctx, r, w, wholeContract, r.url(w.on))
}

// startHTTP2 has the relay use HTTP/2, which it would not for this few requests at a
// time.
func startHTTP2(ctx context.Context, r *rig, w *row) (*running, error) {
	return startRelay(ctx, r, w, append([]string{"RELAY_UPSTREAM_HTTP=2"}, wholeContract...), r.url(w.on))
}

func startUsage(ctx context.Context, r *rig, w *row) (*running, error) {
	return startRelay(ctx, r, w, append([]string{"RELAY_LOG_USAGE=true"}, wholeContract...), r.url(w.on))
}

func startBare(ctx context.Context, r *rig, w *row) (*running, error) {
	return startRelay(ctx, r, w, []string{"RELAY_LOG_LEVEL=off"}, r.url(w.on))
}

// startGateway starts three relays and a relay before them, which alone is
// measured.
func startGateway(ctx context.Context, r *rig, w *row) (*running, error) {
	regions := new(running)
	var urls []string
	for range 3 {
		region, err := startRelay(ctx, r, w, nil, r.url(w.on))
		if err != nil {
			regions.stop()
			return nil, err
		}
		regions.others, urls = append(regions.others, region), append(urls, "http://"+region.addr)
	}
	c, err := startRelay(ctx, r, w, wholeContract, urls...)
	if err != nil {
		regions.stop()
		return nil, err
	}
	c.others = regions.others
	return c, nil
}

// startRelay starts a relay with the given settings. Its log goes to the null
// device. The limit of requests in flight is above the number of streams.
func startRelay(ctx context.Context, r *rig, w *row, settings []string, upstreams ...string) (*running, error) {
	env := append([]string{
		"RELAY_UPSTREAMS=" + strings.Join(upstreams, ","), "RELAY_MAX_IN_FLIGHT=12000", "SSL_CERT_FILE=" + r.roots,
	}, settings...)
	p, base, err := proc.StartRelay(ctx, proc.Options{Env: env, Discard: true}, w.built.file, "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &running{addr: strings.TrimPrefix(base, "http://"), process: p}, nil
}

// startRole has this program play one of its roles before the upstream.
func startRole(role string) func(context.Context, *rig, *row) (*running, error) {
	return func(ctx context.Context, r *rig, w *row) (*running, error) {
		p, err := proc.Start(proc.Options{Env: []string{"SSL_CERT_FILE=" + r.roots}}, r.self, role, r.url(w.on))
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
}

// startAt starts a program that is told by its configuration to listen at addr.
func startAt(ctx context.Context, addr, version string, opts proc.Options, name string,
	args ...string) (*running, error) {
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
