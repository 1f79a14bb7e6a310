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

// C14: the name of the preferred region is not found, or only late. Nobody can
// have a resolver of his own for a process without privileges, so here the
// gateway is in the process of the test; one in its own asks whatever resolver
// the machine has.
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
			asked := names.asked.Load()
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
			if names.asked.Load() == asked {
				t.Error("the resolver was not asked")
			}
			if s := r.states(t)[0]; test.late == 0 && (s.State != "down" || s.LastError != "dns") {
				t.Errorf("health says %+v", s)
			}
			r.wantPosts(t, 5)
		})
	}
	t.Run("a process", func(t *testing.T) {
		r := newRig(t, regions.Options{})
		r.base = r.GatewayTest(t, proc.Options{Log: &r.gatewayLog, Env: []string{"RELAY_PROBE_INTERVAL=off", "RELAY_UPSTREAMS=" + strings.Join(r.namedUpstreams(), ",")}}).Base
		r.wantSecond(t, 5)
		r.wantPosts(t, 5)
	})
	note(fmt.Sprintf("slowest response %v, with names that are not found, at once or after 5 s", slowest.Round(time.Millisecond)))
}

// namedUpstreams has a name in place of the first region's address.
func (r *rig) namedUpstreams() []string {
	all := r.upstreams()
	all[0] = "https://rt_" + canaryToken + "@region-1.invalid#region-1"
	return all
}

// wantSecond fails the test unless n requests are answered by the second region,
// none of them slower than by a stagger and what a slow machine takes.
func (r *rig) wantSecond(t *testing.T, n int) (slowest time.Duration) {
	t.Helper()
	for range n {
		a := r.ask(t)
		if a.status != http.StatusOK || a.upstream != "region-2" || a.took > 1500*time.Millisecond {
			t.Errorf("got %v", a)
		}
		slowest = max(slowest, a.took)
	}
	return slowest
}
