package core

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"example.com/relay/core/failover"
	"example.com/relay/core/page"
)

// Version is this relay's version, which health answers with.
const Version = "0.1.0"

// A Relay is an [http.Handler] that relays an API. It is made by [New] or
// [FromEnv] and is safe for concurrent use.
type Relay struct {
	handler http.Handler
	pool    *failover.Pool     // nil if misconfigured
	close   context.CancelFunc // ends the streams that are left, and the probes
	marker  string             // X-Relay of the relay's own answers

	changing sync.Mutex // held while the upstreams change
	origins  *origins
	open     bool // no access token is needed
	public   bool // others than programs on this machine reach it

	mu      sync.Mutex
	active  int
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
	access := newAccess(cfg)
	target := newTarget(cfg)
	routes := &routes{
		health: newHealth(cfg, pool, access, target),
		api:    stages(forward, navigation{}, access, relayed, newLimits(cfg)),
		toAPI:  relayed,
	}
	if cfg.PathTokens {
		routes.toAPI = append(slices.Clone(relayed), pathPrefix)
	}
	if !cfg.NoPage {
		routes.page = page.Handler()
	}
	close := func() {
		forward.open.close()
		pool.Close()
	}
	record, cors := newRecordStage(cfg), newCORS(cfg)
	r := &Relay{
		handler: stages(routes, record, cors, target),
		pool:    pool, close: close, marker: record.marker,
		origins: cors.origins, open: len(cfg.AccessTokens) == 0, public: cfg.isPublic(),
	}
	r.origins.exposed.Store(r.open && holdToken(cfg.Upstreams))
	return r, nil
}

// newPool returns the pool over cfg's upstreams.
func newPool(cfg Config) (*failover.Pool, error) {
	opts := failover.Options{
		Policy:          cfg.Policy,
		ResendAmbiguous: cfg.ResendAmbiguous,
		ResumeResponses: cfg.ResumeResponses,
		ProbeInterval:   cfg.ProbeInterval,
		Serverless:      cfg.Platform.Serverless,
		HTTP1:           cfg.Platform.SingleRequest,
		TLS:             cfg.TLS,
		Transport:       cfg.Transport,
		Logger:          cfg.logger(),
	}
	if cfg.ProxyFromEnvironment && !cfg.Platform.Serverless {
		opts.Proxy = http.ProxyFromEnvironment
	}
	return failover.New(plain(cfg.Upstreams), opts)
}

// plain returns the values of secrets.
func plain(secrets []Secret) []string {
	values := make([]string, len(secrets))
	for i, s := range secrets {
		values[i] = string(s)
	}
	return values
}

// SetUpstreams replaces the upstreams, which are written as in
// [Config.Upstreams]. Those that stay keep their connections and their health;
// requests that are under way are not disturbed. The error names everything
// that is wrong with them, without the values, and nothing has changed then.
func (r *Relay) SetUpstreams(urls []Secret) error {
	if r.pool == nil {
		return errMisconfigured
	}
	if err := oneLine(upstreamProblems(urls)); err != nil {
		return err
	}
	exposed := r.open && holdToken(urls)
	if exposed && r.public {
		return errExposed
	}
	r.changing.Lock()
	defer r.changing.Unlock()
	before := r.origins.exposed.Load()
	r.origins.exposed.Store(exposed || before) // until the old ones are gone
	err := r.pool.SetUpstreams(plain(urls))
	if err != nil {
		exposed = before
	}
	r.origins.exposed.Store(exposed)
	return err
}

// FromEnv returns a relay for the RELAY_* variables of environ, which is in the
// form of [os.Environ], on a platform. It is for functions, which have no
// start-up to fail: if the configuration is wrong, the relay says so once in
// its log and answers every request with the error relay_misconfigured.
func FromEnv(environ []string, platform Platform) *Relay {
	filterStdlog()
	cfg, err := ParseEnv(environ)
	cfg.Platform = platform
	if err == nil {
		var r *Relay
		if r, err = New(cfg); err == nil {
			return r
		}
	}
	// Only what the stages in front need, and nothing that may be wrong.
	cfg = Config{Platform: platform, Logger: cfg.Logger}.withDefaults()
	s := newRecordStage(cfg)
	s.logger.Error("misconfigured", "problems", err.Error())
	refuse := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		writeError(w, req, errMisconfigured)
	})
	return &Relay{close: func() {}, marker: s.marker, handler: stages(refuse, s, newCORS(cfg))}
}

// A stage is what a request passes on its way to the exchange.
type stage interface {
	handler(next http.Handler) http.Handler
}

// stages returns h behind list: the first one meets a request first.
func stages(h http.Handler, list ...stage) http.Handler {
	for _, s := range slices.Backward(list) {
		h = s.handler(h)
	}
	return h
}

// ServeHTTP relays req. It panics with [http.ErrAbortHandler] if an answer has
// begun and cannot be completed; the package comment says why.
func (r *Relay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.enter()
	defer r.leave()
	r.handler.ServeHTTP(w, req)
}

// lastWords is how long Shutdown waits for the streams that it ended: a client
// that takes nothing any more must not hold up the process.
const lastWords = time.Second

// Shutdown waits until no request is in flight. When ctx is done, it ends the
// streams that are left with an error event, waits for them up to a second
// more, and returns ctx's error. It does not keep new requests out: the server
// does.
func (r *Relay) Shutdown(ctx context.Context) error {
	defer r.close() // for whoever comes too late
	drained := r.whenDrained()
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
	}
	r.close()
	select {
	case <-drained:
	case <-time.After(lastWords):
	}
	return ctx.Err()
}

func (r *Relay) enter() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active++
}

func (r *Relay) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active--
	if r.active == 0 && r.drained != nil {
		close(r.drained)
		r.drained = nil
	}
}

// whenDrained returns a channel that is closed when no request is in flight.
func (r *Relay) whenDrained() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.active == 0 {
		done := make(chan struct{})
		close(done)
		return done
	}
	if r.drained == nil {
		r.drained = make(chan struct{})
	}
	return r.drained
}

func newRecordStage(cfg Config) *recordStage {
	return &recordStage{
		logger: cfg.logger(), marker: cfg.Name + "; origin=relay", region: cfg.Region,
		bodyTimeout: cfg.BodyTimeout, writeTimeout: cfg.WriteTimeout,
	}
}

// logger returns where to log.
func (cfg Config) logger() *slog.Logger {
	if cfg.Logger != nil {
		return cfg.Logger
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: cfg.LogLevel}))
}
