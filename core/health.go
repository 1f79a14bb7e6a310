package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"example.com/relay/core/failover"
	"example.com/relay/core/protocol"
)

const (
	// deepTimeout is the timeout of a deep check, below the ten seconds that
	// monitors commonly wait.
	deepTimeout = 8 * time.Second
	// deepCacheTime is how long the result of a deep check is reused, since anyone
	// may request one.
	deepCacheTime = 5 * time.Second

	// The stream probe is streamEvents events, streamGap apart.
	streamEvents = 5
	streamGap    = 100 * time.Millisecond
)

// health serves /relay/health: what this relay is; with deep=1, whether it reaches
// the upstream; with stream=1, a short event stream that shows a client whether
// anything on the way buffers.
type health struct {
	about  protocol.Health
	pool   *failover.Pool
	access *access
	target *target

	// turn holds one element during a deep check; whoever put it there may use deep
	// and deepAt, the last result and its time.
	turn   chan struct{}
	deep   protocol.DeepCheck
	deepAt time.Time
}

func newHealth(cfg Config, pool *failover.Pool, access *access, target *target) *health {
	platform := cfg.Platform.Name
	if platform == "" {
		platform = protocol.Server
	}
	return &health{pool: pool, access: access, target: target, turn: make(chan struct{}, 1), about: protocol.Health{
		Status:        "ok",
		Name:          cfg.Name,
		Version:       Version,
		Region:        cfg.Region,
		Platform:      platform,
		TokenRequired: cfg.TokenNeeded(),
		MaxBodyBytes:  cfg.MaxBodyBytes,
		WebSocket:     !cfg.Platform.NoWebSocket,
	}}
}

func (hl *health) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		writeError(w, req, errMethod)
		return
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	query := req.URL.Query()
	if query.Get("stream") == "1" && req.Method == http.MethodGet {
		hl.stream(w, req)
		return
	}
	report, status := hl.about, http.StatusOK
	report.HoldsKey = hl.access.holdsKey()
	if query.Get("deep") == "1" {
		deep := hl.check(req.Context())
		report.Upstream = &deep
		if !deep.OK {
			report.Status, status = "degraded", http.StatusServiceUnavailable
		}
	}
	if hl.target.allows(req.Host) { // not for load balancers, see isLoadBalancerCheck
		hl.addPrivate(&report, req) // after the check, which may have changed them
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if req.Method != http.MethodHead {
		_ = json.NewEncoder(w).Encode(report)
	}
}

// addPrivate adds to a report what is only for callers that would be admitted: their
// own token, if it has a name, and the state of each upstream that their requests may
// go to. The names of upstreams tell where the relay's regions are.
func (hl *health) addPrivate(report *protocol.Health, req *http.Request) {
	clone := *req // admit changes it
	if hl.access.admit(&clone) != nil {
		return
	}
	g := recordOf(req).grant
	if g != nil {
		report.Token = g.report()
	}
	report.Upstreams = hl.upstreams(g)
}

// upstreams returns the state of each upstream that a token leads to. It returns an
// empty list, not nil, if all that the token names were removed: that there is a list
// says that the token is accepted.
func (hl *health) upstreams(g *grant) []protocol.UpstreamHealth {
	reports := []protocol.UpstreamHealth{}
	for _, st := range hl.pool.Status() {
		if !g.leadsTo(st.Name) {
			continue
		}
		reports = append(reports, protocol.UpstreamHealth{
			Name:      st.Name,
			State:     st.State,
			LatencyMS: float64(st.Latency.Microseconds()) / 1000,
			InFlight:  st.InFlight,
			LastError: st.LastError,
			RetryInMS: st.RetryIn.Milliseconds(),

			CheckedMSAgo: msAgo(st.CheckedAt),
			ErrorMSAgo:   msAgo(st.ErrorAt),
		})
	}
	return reports
}

// msAgo returns how long ago t was, in milliseconds; nil for the zero time.
func msAgo(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	ms := time.Since(t).Milliseconds()
	return &ms
}

// stream writes the stream probe: events with the time since the first one, which
// a client compares with when it receives them.
func (hl *health) stream(w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	prepareStream(h)
	w.WriteHeader(http.StatusOK)
	rc := http.NewResponseController(w)
	start := time.Now()
	for i := range streamEvents {
		if i > 0 {
			select {
			case <-time.After(streamGap):
			case <-req.Context().Done():
				recordOf(req).fail(errClientGone)
				panic(http.ErrAbortHandler)
			}
		}
		_, _ = fmt.Fprintf(w, "data: {\"event\":%d,\"of\":%d,\"at_ms\":%d}\n\n",
			i+1, streamEvents, time.Since(start).Milliseconds())
		_ = rc.Flush()
	}
	_, _ = io.WriteString(w, "data: [DONE]\n\n")
}

// check returns the result of a deep check, a request for the models without a
// key: a 401 means that the upstream is reachable and serves this region.
func (hl *health) check(ctx context.Context) protocol.DeepCheck {
	select {
	case hl.turn <- struct{}{}:
		defer func() { <-hl.turn }()
	case <-ctx.Done():
		return protocol.DeepCheck{Code: codeUpstreamTimeout}
	}
	if time.Since(hl.deepAt) < deepCacheTime {
		return hl.deep
	}
	// Others wait for the result too, so the check outlives the request that began it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deepTimeout)
	defer cancel()
	hl.deep, hl.deepAt = hl.probe(ctx), time.Now()
	return hl.deep
}

func (hl *health) probe(ctx context.Context) protocol.DeepCheck {
	header := http.Header{
		"Accept":          {"application/json"},
		"Accept-Encoding": {"identity"},
		"User-Agent":      {"relay/" + Version},
	}
	if hl.pool.MayRelay() {
		header[protocol.Hop] = firstHop
	}
	req := (&http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/v1/models"}, Header: header}).WithContext(ctx)
	start := time.Now()
	res, sent, err := hl.pool.Send(req, failover.Route{Key: failover.NoKey})
	recordOf(req).sent(sent)
	report := protocol.DeepCheck{LatencyMS: sinceMS(start, time.Now())}
	if err != nil {
		report.Code = errConnect.Code
		if unsent, ok := errors.AsType[*failover.Error](err); !ok || unsent.Ambiguous {
			report.Code = errReset.Code
		}
		if ctx.Err() != nil {
			report.Code = codeUpstreamTimeout
		}
		return report
	}
	defer res.Body.Close()
	report.Status = res.StatusCode
	report.Code = deepCode(res.StatusCode, hl.pool.RefusesRegion(ctx, res, sent))
	report.OK = report.Code == ""
	return report
}

// codeUpstreamTimeout is the code of a deep check that timed out.
const codeUpstreamTimeout = "upstream_timeout"

// deepCode returns the code of a deep check whose response was that, or "" if the
// upstream is well.
func deepCode(status int, refused bool) string {
	switch {
	case refused:
		return protocol.RegionRefused
	case status == http.StatusOK, status == http.StatusUnauthorized, status == http.StatusTooManyRequests:
		return ""
	}
	return "upstream_unexpected_status"
}
