package torture_test

import (
	"fmt"
	"net/http"
	"testing"

	"example.com/relay/internal/regions"
)

// C18: a client's own Relay-Hop does not count against a region.
func hopsOfClients(t *testing.T, _ func(string)) {
	r := startRig(t, "RELAY_PROBE_INTERVAL=off")
	for range 10 {
		for _, hops := range []string{"1", "01", "2", "x"} {
			r.sendChat(t, "Relay-Hop", hops).wantError(t, http.StatusLoopDetected, "relay_loop")
		}
	}
	r.kill(t, 2)
	for range 30 {
		r.sendChat(t).want(t, http.StatusOK, "region-1", 1)
	}
}

// C19: a firewall's page for one client's prompts, in every region, does not put
// regions down for other clients.
func firewalls(t *testing.T, _ func(string)) {
	r := startRig(t, "RELAY_PROBE_INTERVAL=off")
	for i := range r.Regions {
		r.set(t, i, regions.Firewall("X-Prompt", regions.LambdaForbidden))
	}
	for range 20 {
		if got := r.sendChat(t, "X-Prompt", "attack"); got.status < 400 {
			t.Errorf("got %v", got)
		}
	}
	for range 5 {
		r.sendChat(t).want(t, http.StatusOK, "region-1", 1)
	}
	for i, s := range r.states(t) {
		if s.State != "up" {
			t.Errorf("region %d: %+v", i+1, s)
		}
	}
}

// C20: a POST whose response forges a relay's headers reaches the API once.
func forgedMarkers(t *testing.T, _ func(string)) {
	r := startRig(t, "RELAY_PROBE_INTERVAL=off")
	for _, status := range []int{200, 502, 503} {
		r.Upstream.Reset()
		got := r.sendChat(t, "Fake-Fault",
			fmt.Sprintf("status=%d header=X-Relay:relay;origin=relay header=X-Relay-Error:upstream_connect", status))
		got.want(t, status, "region-1", 1)
		if marker := got.header.Get("X-Relay"); got.code() != "" || marker != "gateway; origin=upstream" {
			t.Errorf("%d: X-Relay %q, X-Relay-Error %q", status, marker, got.code())
		}
		r.wantPosts(t, 1)
	}
}
