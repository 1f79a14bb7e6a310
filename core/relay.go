package core

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"example.com/relay/core/failover"
	"example.com/relay/core/page"
)

// A Relay is an [http.Handler] that relays an API. It is made by [New] or
// [FromEnv] and is safe for concurrent use.
type Relay struct {
	handler http.Handler
	pool    *failover.Pool     // nil if misconfigured
	stop    context.CancelFunc // ends the exchanges in flight, and the probes
	marker  string             // X-Relay of the relay's own responses

	changing sync.Mutex // serializes SetUpstreams
	origins  *origins
	open     bool             // no access token is needed
	public   bool             // reachable from other machines
	options  failover.Options // of upstreams' URLs
	keys     keyPolicy        // of upstreams' API keys
	changed  func([]Secret)   // is told the new upstreams

	mu      sync.Mutex    // guards what follows
	active  int           // requests in flight
	drained chan struct{} // closed when active is 0; nil unless Shutdown waits
}

// New returns a relay for cfg. The error names everything that is wrong with
// cfg, without the values.
func New(cfg Config) (*Relay, error) {
	cfg = cfg.withDefaults()
	if err := oneLine(append(cfg.problems(), cfg.exposure()...)); err != nil {
		return nil, err
	}
	pool, err := newPool(cfg)
	if err != nil {
		return nil, err
	}
	forward := newForwarder(cfg, pool)
	relayed := paths(cfg.Paths)
	access := newAccess(cfg, pool)
	target := newTarget(cfg)
	routes := &routes{
		health: newHealth(cfg, pool, access, target),
		api:    stages(forward, navigation{}, access, relayed, newLimits(cfg), models{}),
		toAPI:  relayed,
	}
	if cfg.PathTokens {
		routes.toAPI = append(slices.Clone(relayed), pathPrefix)
	}
	if !cfg.NoPage {
		routes.page = page.Handler()
	}
	stop := func() {
		forward.inFlight.close()
		pool.Close()
	}
	record, cors := newRecordStage(cfg), newCORS(cfg)
	r := &Relay{
		handler: stages(routes, record, cors, target),
		pool:    pool,
		stop:    stop,
		marker:  record.marker,
		origins: cors.origins,
		open:    !cfg.TokenNeeded(),
		public:  cfg.isPublic(),
		options: cfg.upstreamOptions(),
		keys:    cfg.keyPolicy(),
		changed: func(urls []Secret) { access.warnOfRemoved(record.logger, urls) },
	}
	record.relay = r
	r.origins.exposed.Store(r.open && holdToken(cfg.Upstreams))
	access.warnOfExpired(record.logger)
	return r, nil
}

// newPool returns the pool over cfg's upstreams.
func newPool(cfg Config) (*failover.Pool, error) {
	opts := cfg.upstreamOptions()
	opts.Policy = cfg.Policy
	opts.ResendAmbiguous = cfg.ResendAmbiguous
	opts.ResumeResponses = cfg.ResumeResponses
	opts.RetryQuota = cfg.RetryQuota
	opts.ProbeInterval = cfg.ProbeInterval
	opts.Serverless = cfg.Platform.Serverless
	opts.HTTP = cfg.UpstreamHTTP
	if cfg.Platform.SingleRequest {
		opts.HTTP = failover.HTTP1
	}
	opts.TLS = cfg.TLS
	opts.Transport = cfg.Transport
	opts.Logger = cfg.logger()
	if cfg.ProxyFromEnvironment && !cfg.Platform.Serverless {
		opts.Proxy = ProxyFromEnvironment
	}
	return failover.New(plain(cfg.Upstreams), opts)
}

// ProxyFromEnvironment returns the proxy of a request to an upstream: that in
// HTTPS_PROXY, as [http.ProxyFromEnvironment] has it. Upstreams by plain http are on
// this machine or its own network, and have none.
func ProxyFromEnvironment(req *http.Request) (*url.URL, error) {
	if req.URL.Scheme == "http" {
		return nil, nil
	}
	return http.ProxyFromEnvironment(req)
}

// plain returns the values of secrets.
func plain(secrets []Secret) []string {
	values := make([]string, len(secrets))
	for i, s := range secrets {
		values[i] = string(s)
	}
	return values
}

// SetUpstreams replaces the upstreams; urls are as in [Config.Upstreams]. Upstreams
// that remain keep their connections and their health, and requests in flight are
// not disturbed. On an error nothing changes; the error names everything that is
// wrong, without the values.
func (r *Relay) SetUpstreams(urls []Secret) error {
	if r.pool == nil {
		return errMisconfigured
	}
	if err := oneLine(append(upstreamProblems(urls, r.options), r.keys.problems(urls)...)); err != nil {
		return err
	}
	exposed := r.open && holdToken(urls)
	if exposed && r.public {
		return errExposed
	}
	r.changing.Lock()
	defer r.changing.Unlock()
	before := r.origins.exposed.Load()
	r.origins.exposed.Store(exposed || before) // until the old upstreams are gone
	err := r.pool.SetUpstreams(plain(urls))
	if err != nil {
		exposed = before
	} else {
		r.changed(urls)
	}
	r.origins.exposed.Store(exposed)
	return err
}

// FromEnv returns a relay on a platform for the RELAY_* variables in environ, which
// has the form of [os.Environ]. It is for serverless functions, which cannot fail
// at start-up: if the configuration is invalid, the relay logs why, once, and
// responds to every request with the error relay_misconfigured. A function without
// access tokens works, since it can be reached by everyone in any case and its client
// may have no way to send one, but logs a warning.
func FromEnv(environ []string, platform Platform) *Relay {
	filterStdlog()
	cfg, err := ParseEnv(environ)
	cfg.Platform = platform
	if err == nil {
		var r *Relay
		if r, err = New(cfg); err == nil {
			if !cfg.TokenNeeded() && !cfg.AllowAnyone {
				cfg.logger().Warn("open", "problem", "RELAY_ACCESS_TOKENS is not set, so anyone who finds this "+
					"function's URL may use it with a key of their own; "+
					"set RELAY_ALLOW_ANYONE=true if that is intended")
			}
			return r
		}
	}
	// Only what record and cors need, and nothing that may be invalid.
	cfg = Config{Platform: platform, Logger: cfg.Logger}.withDefaults()
	s := newRecordStage(cfg)
	s.logger.Error("misconfigured", "problems", err.Error())
	refuse := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		writeError(w, req, errMisconfigured)
	})
	return &Relay{stop: func() {}, marker: s.marker, handler: stages(refuse, s, newCORS(cfg))}
}

// A stage wraps the handler that follows it, and may refuse requests.
type stage interface {
	handler(next http.Handler) http.Handler
}

// stages returns h wrapped in list. A request passes the first stage first.
func stages(h http.Handler, list ...stage) http.Handler {
	for _, s := range slices.Backward(list) {
		h = s.handler(h)
	}
	return h
}

// ServeHTTP relays req. It panics with [http.ErrAbortHandler] if a response has
// begun and cannot be completed; the package comment says why.
func (r *Relay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.enter()
	defer r.leave()
	r.handler.ServeHTTP(w, req)
}
