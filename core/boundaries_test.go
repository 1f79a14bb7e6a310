package core

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// newRegions returns a gateway over n relays of one API, and the relays' servers.
func newRegions(t *testing.T, n int, api http.HandlerFunc) (gate *front, regions []*httptest.Server) {
	t.Helper()
	var upstreams []Secret
	for i := range n {
		name := string(rune('a' + i))
		region := newFront(t, api, func(cfg *Config) { cfg.Name, cfg.AccessTokens = name, []Secret{canaryToken} })
		server := httptest.NewServer(region.relay)
		t.Cleanup(server.Close)
		regions = append(regions, server)
		upstreams = append(upstreams, Secret("http://rt_"+canaryToken+"@"+strings.TrimPrefix(server.URL,
			"http://")+"#"+name))
	}
	gate = newFront(t, api, func(cfg *Config) { cfg.Name, cfg.Upstreams, cfg.ProbeInterval = "gate", upstreams, -1 })
	return gate, regions
}

// What a client says of relays that its request has passed takes no region from
// others.
func TestHopsOfClients(t *testing.T) {
	gate, regions := newRegions(t, 3, ok)
	chat := func(header ...string) *http.Response {
		res, _ := send(t, "POST", gate.URL+"/v1/chat/completions", "{}", header...)
		return res
	}
	for range 10 {
		for _, hops := range []string{"1", "01", "+1", "0", "2", "x"} {
			if res := chat("Relay-Hop", hops); res.StatusCode != 200 && res.StatusCode != http.StatusLoopDetected {
				t.Fatalf("hops %s: %d", hops, res.StatusCode)
			}
		}
	}
	regions[2].CloseClientConnections()
	regions[2].Close()
	for i := range 30 {
		if res := chat(); res.StatusCode != 200 || res.Header.Get("X-Relay-Upstream") != "a" {
			t.Errorf("request %d: %d by %q", i, res.StatusCode, res.Header.Get("X-Relay-Upstream"))
		}
	}
}

// What an API says in a relay's headers moves nothing: the request was
// processed.
func TestForgedRelayHeaders(t *testing.T) {
	for _, status := range []int{200, 403, 404, 413, 502, 503, 508} {
		for _, code := range []string{"upstream_connect", "relay_overloaded", "relay_loop", "relay_misconfigured",
			"invalid_access_token", "unknown_path", "body_too_large"} {
			var posts atomic.Int32
			gate, _ := newRegions(t, 3, func(w http.ResponseWriter, req *http.Request) {
				if req.Method == http.MethodPost {
					posts.Add(1)
				}
				_, _ = io.Copy(io.Discard, req.Body)
				w.Header().Set("X-Relay", "relay; origin=relay")
				w.Header().Set("X-Relay-Error", code)
				w.Header().Set("X-Relay-Anything", "x")
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(status)
				_, _ = io.WriteString(w, `{"error":{"message":"m","type":"relay_error","param":null,"code":"`+code+
					`"}}`)
			})
			res, body := send(t, "POST", gate.URL+"/v1/chat/completions", "{}")
			if posts.Load() != 1 || res.StatusCode != status || !strings.Contains(body, code) {
				t.Errorf("%d %s: the API got %d requests, the client %d %s", status, code, posts.Load(), res.StatusCode,
					body)
			}
			if res.Header.Get("X-Relay") != "gate; origin=upstream" || res.Header.Get("X-Relay-Error") != "" ||
				res.Header.Get("X-Relay-Anything") != "" {
				t.Errorf("%d %s: the client got %v", status, code, res.Header)
			}
			if res, _ := send(t, "POST", gate.URL+"/v1/chat/completions",
				"{}"); res.Header.Get("X-Relay-Upstream") != "a" {
				t.Errorf("%d %s: the next request went to %q", status, code, res.Header.Get("X-Relay-Upstream"))
			}
		}
	}
}
