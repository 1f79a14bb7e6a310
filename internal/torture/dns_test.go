package torture_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.com/relay/core"
	"example.com/relay/internal/proc"
	"example.com/relay/internal/regions"
)

// C14: the name of the preferred region is not found, or only after a delay. Without
// privileges a process cannot be given another resolver, so here the gateway is in
// the test's process; one in a process of its own uses the machine's resolver.
func deafResolver(t *testing.T, note func(string)) {
	var slowest time.Duration
	for _, test := range []struct {
		name string
		late time.Duration
	}{
		{"NXDOMAIN", 0},
		{"NXDOMAIN after 5 s", 5 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			names.late.Store(int64(test.late))
			defer names.late.Store(0)
			before := names.queries.Load()
			r := newRig(t, regions.Options{})
			cfg := core.Config{Logger: slog.New(slog.NewJSONHandler(&r.gatewayLog, nil)), ProbeInterval: -1}
			for _, upstream := range r.namedUpstreams() {
				cfg.Upstreams = append(cfg.Upstreams, core.Secret(upstream))
			}
			gateway, err := core.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(gateway)
			r.base = server.URL
			t.Cleanup(func() {
				server.Close()
				_ = gateway.Shutdown(t.Context())
			})
			slowest = max(slowest, r.wantSecond(t, 5))
			if names.queries.Load() == before {
				t.Error("the resolver got no query")
			}
			if s := r.states(t)[0]; test.late == 0 && (s.State != "down" || s.LastError != "dns") {
				t.Errorf("health says %+v", s)
			}
			r.wantPosts(t, 5)
		})
	}
	t.Run("a process", func(t *testing.T) {
		r := newRig(t, regions.Options{})
		r.base = r.GatewayTest(t, proc.Options{Log: &r.gatewayLog,
			Env: []string{"RELAY_PROBE_INTERVAL=off", "RELAY_UPSTREAMS=" + strings.Join(r.namedUpstreams(), ",")}}).Base
		r.wantSecond(t, 5)
		r.wantPosts(t, 5)
	})
	note(fmt.Sprintf("slowest response %v, with names that are not found, at once or after 5 s",
		slowest.Round(time.Millisecond)))
}

// namedUpstreams returns the upstreams with a name in place of the first region's
// address.
func (r *rig) namedUpstreams() []string {
	all := r.upstreams()
	all[0] = "https://rt_" + canaryToken + "@region-1.invalid#region-1"
	return all
}

// wantSecond fails the test unless the second region serves n requests, none of them
// slower than the hedging delay and what a slow machine adds.
func (r *rig) wantSecond(t *testing.T, n int) (slowest time.Duration) {
	t.Helper()
	for range n {
		a := r.sendChat(t)
		if a.status != http.StatusOK || a.upstream != "region-2" || a.took > 1500*time.Millisecond {
			t.Errorf("got %v", a)
		}
		slowest = max(slowest, a.took)
	}
	return slowest
}
