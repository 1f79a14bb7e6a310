package torture_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.com/relay/internal/regions"
	"example.com/relay/internal/torture"
)

// TestRegionFaults is group C: regions that fail behind a gateway. Row C16 is in
// internal/sdktest/go, where the SDK is.
func TestRegionFaults(t *testing.T) {
	for _, row := range []struct {
		id   string
		test func(t *testing.T, note func(string))
	}{
		{"C01", killPrimary},
		{"C02", blackHole},
		{"C03", platformPages},
		{"C04", platformAfterwards},
		{"C05", errorsOfTheAPI},
		{"C06", countryRefused},
		{"C07", slowRegion},
		{"C08", allDown},
		{"C09", flapping},
		{"C10", regionReturns},
		{"C11", twoOfThreeDown},
		{"C12", largeBody},
		{"C13", expiredCertificate},
		{"C14", deafResolver},
		{"C15", backgroundResponse},
		{"C17", rollingRestart},
		{"C18", hopsOfClients},
		{"C19", firewalls},
		{"C20", forgedMarkers},
		{"C21", compressedRefusal},
		{"C22", bodyTooLarge},
		{"C23", hungRegion},
		{"C24", foreignAPI},
		{"C25", reportsFromTheField},
		{"C26", hungBetweenRequests},
	} {
		t.Run(row.id, func(t *testing.T) {
			t.Run("gateway", func(t *testing.T) { row.test(t, torture.Row(t, row.id, "gateway")) })
		})
	}
}

// C03: a platform's page in place of the relay's response sends a request to the
// next region, before the upstream has seen it.
func platformPages(t *testing.T, _ func(string)) {
	for _, test := range []struct {
		name  string
		page  regions.Page
		class string
		downs int // how many such responses put the region down
	}{
		{"Lambda 429", regions.LambdaThrottle, "platform_429", 3},
		{"Google 429", regions.GCFNoInstance, "platform_429", 3},
		{"Google 503", regions.GCFUnavailable, "platform_503", 3},
		{"Lambda 403", regions.LambdaForbidden, "platform_403", 1},
		{"Vercel 404", regions.VercelNotFound, "platform_404", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := startRig(t, "RELAY_PROBE_INTERVAL=off")
			r.set(t, 0, regions.Serving(test.page))
			for i := range 5 {
				attempts := 1 // it is avoided for a while
				if i < test.downs {
					attempts = 2
				}
				r.sendChat(t).want(t, http.StatusOK, "region-2", attempts)
			}
			r.wantPosts(t, 5)
			if s := r.states(t)[0]; s.State != "down" || s.LastError != test.class {
				t.Errorf("health says %+v", s)
			}
			r.awaitLog(t, "WARN", "upstream down", "region-1", test.class)
		})
	}
}

// C04: a platform's 502 after the request was processed.
func platformAfterwards(t *testing.T, _ func(string)) {
	r := startRig(t, "RELAY_PROBE_INTERVAL=off")
	r.set(t, 0, regions.Serving(regions.LambdaCrash))
	r.sendChat(t).wantError(t, http.StatusBadGateway, "platform_failed")
	r.wantPosts(t, 1)
	if got := len(r.Regions[1].Front.Served()) + len(r.Regions[2].Front.Served()); got != 0 {
		t.Errorf("other regions had %d requests", got)
	}
	// A request that changes nothing may be retried.
	r.send(t, http.MethodGet, "/v1/models", "").want(t, http.StatusOK, "region-2", 2)
	if s := r.states(t)[0]; s.State != "suspect" || s.LastError != "platform_502" {
		t.Errorf("health says %+v", s)
	}

	resending := startRig(t, "RELAY_PROBE_INTERVAL=off", "RELAY_RESEND_AMBIGUOUS=true")
	resending.set(t, 0, regions.Serving(regions.LambdaCrash))
	resending.sendChat(t).want(t, http.StatusOK, "region-2", 2)
	resending.wantPosts(t, 2)
	resending.set(t, 1, regions.Serving(regions.LambdaCrash)) // once more, not twice
	resending.sendChat(t).wantError(t, http.StatusBadGateway, "platform_failed")
	resending.wantPosts(t, 4)
}

// C05: an error of the API itself is forwarded unchanged, and does not count against
// a region.
func errorsOfTheAPI(t *testing.T, _ func(string)) {
	r := startRig(t, "RELAY_PROBE_INTERVAL=off")
	for _, status := range []string{"429", "500", "503", "502", "409"} {
		for range 4 {
			r.Upstream.Reset() // so that request ids are the same
			fault := []string{"Fake-Fault",
				"status=" + status + " retry-after=1 retry-after-ms=20 header=X-Ratelimit-Remaining-Requests:7"}
			got := r.sendChat(t, fault...)
			r.wantPosts(t, 1)
			r.Upstream.Reset()
			direct := &rig{base: r.Upstream.URL, client: r.client}
			want := direct.sendChat(t, fault...)
			got.want(t, want.status, "region-1", 1)
			if fmt.Sprint(got.status) != status || got.body != want.body || got.code() != "" {
				t.Errorf("got %v; the API said %q", got, want.body)
			}
			for _, name := range []string{"Content-Type", "Retry-After", "Retry-After-Ms", "X-Should-Retry",
				"X-Ratelimit-Remaining-Requests", "X-Request-Id"} {
				if got.header.Get(name) != want.header.Get(name) {
					t.Errorf("%s: %q, the API said %q", name, got.header.Get(name), want.header.Get(name))
				}
			}
		}
	}
	if s := r.states(t)[0]; s.State != "up" || s.LastError != "" {
		t.Errorf("health says %+v", s)
	}
}

// C06: OpenAI does not serve a region's country.
func countryRefused(t *testing.T, _ func(string)) {
	r := startRig(t)
	r.Upstream.Script("region-refused")
	r.sendChat(t).want(t, http.StatusOK, "region-2", 2)
	r.wantPosts(t, 2) // the one that was refused, unprocessed
	for range 3 {
		r.sendChat(t).want(t, http.StatusOK, "region-2", 1)
	}
	if s := r.states(t)[0]; s.State != "down" || s.LastError != "region_refused" || s.RetryInMS < 5*60_000 {
		t.Errorf("health says %+v", s)
	}
	r.awaitLog(t, "WARN", "upstream down", "region-1", "region_refused")

	// Every region is refused: OpenAI's own error.
	r.Upstream.SetFault(func(*http.Request) string { return "region-refused" })
	if a := r.sendChat(t); a.status != http.StatusForbidden || a.code() != "" ||
		!strings.Contains(a.body, "unsupported_country_region_territory") {
		t.Errorf("got %v", a)
	}
}

// C08: no region is left.
func allDown(t *testing.T, note func(string)) {
	all := func(r *rig, fault regions.Fault) {
		for i := range r.Regions {
			r.set(t, i, fault)
		}
	}
	var slowest, after time.Duration
	for _, fault := range []regions.Fault{regions.Refused, regions.Reset, regions.Dead()} {
		t.Run(fault.String(), func(t *testing.T) {
			r := startRigOver(t, regions.Options{TLS: true})
			all(r, fault)
			tries := 4
			if fault == regions.Dead() {
				tries = 2 // which take their time
			}
			for i := range tries {
				a := r.sendChat(t)
				a.wantError(t, http.StatusBadGateway, "all_regions_failed")
				if a.attempts < 1 || a.attempts > 3 || a.took > 3500*time.Millisecond {
					t.Errorf("got %v", a)
				}
				if slowest = max(slowest, a.took); i > 0 && fault != regions.BlackHole {
					after = max(after, a.took)
				}
			}
			r.wantPosts(t, 0)
			all(r, regions.None)
			begin := time.Now()
			await(t, "a region to serve again", func() bool { return r.sendChat(t).status == http.StatusOK })
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("the first response came %v after the regions", took)
			}
		})
	}
	if after > time.Second {
		t.Errorf("requests to regions known to be down got their 502 after %v, want at once", after)
	}
	note(fmt.Sprintf("502 after at most %v, and after %v if all refuse", slowest.Round(time.Millisecond),
		after.Round(time.Millisecond)))
}

// C11: the last region is never given up.
func twoOfThreeDown(t *testing.T, _ func(string)) {
	r := startRig(t, "RELAY_PROBE_INTERVAL=1s")
	r.kill(t, 0)
	r.kill(t, 1)
	for range 20 {
		if a := r.sendChat(t); a.status != http.StatusOK || a.upstream != "region-3" || a.attempts > 3 {
			t.Errorf("got %v", a)
		}
	}
	r.wantPosts(t, 20)
	r.awaitState(t, 0, "down")
	r.awaitState(t, 1, "down")

	r.set(t, 2, regions.Serving(regions.GCFUnavailable))
	for range 6 {
		if a := r.sendChat(t); a.status != http.StatusBadGateway || a.code() != "all_regions_failed" {
			t.Errorf("got %v", a)
		}
	}
	if s := r.states(t)[2]; s.State != "down" || s.LastError != "platform_503" || s.RetryInMS != 0 {
		t.Errorf("health says %+v of the last region, want it down and in use", s)
	}
	r.set(t, 2, regions.None)
	if a := r.sendChat(t); a.status != http.StatusOK || a.upstream != "region-3" {
		t.Errorf("got %v", a)
	}
}

// C12: a body that is too large to be kept moves to another region only if none of it
// was sent.
func largeBody(t *testing.T, _ func(string)) {
	body := `{"model":"gpt-4o-mini","messages":[{"role":"user","content":"` + strings.Repeat("large ", 2<<20/6) + `"}]}`
	send := func(t *testing.T, r *rig) response {
		t.Helper()
		return r.send(t, http.MethodPost, "/v1/chat/completions", body)
	}
	t.Run("before it is read", func(t *testing.T) {
		r := startRig(t, "RELAY_PROBE_INTERVAL=off")
		r.kill(t, 0)
		send(t, r).want(t, http.StatusOK, "region-2", 2)
		r.wantPosts(t, 1)
		if got, want := sha256.Sum256(r.Upstream.Last().Body), sha256.Sum256([]byte(body)); got != want {
			t.Errorf("the upstream got another body, of %d bytes", len(r.Upstream.Last().Body))
		}
	})
	for _, resend := range []string{"false", "true"} {
		t.Run("while it is sent, resend "+resend, func(t *testing.T) {
			r := startRig(t, "RELAY_PROBE_INTERVAL=off", "RELAY_RESEND_AMBIGUOUS="+resend)
			r.sendChat(t).want(t, http.StatusOK, "region-1", 1) // there is a connection
			r.set(t, 0, regions.Silent)
			done := make(chan response, 1)
			go func() { done <- send(t, r) }()
			await(t, "the request to be sent", func() bool { return r.states(t)[0].InFlight == 1 })
			time.Sleep(1500 * time.Millisecond) // the gateway waits a second for 100 (Continue)
			r.set(t, 0, regions.Reset)
			(<-done).wantError(t, http.StatusBadGateway, "upstream_reset")
			r.wantPosts(t, 1) // the first
			if got := len(r.Regions[1].Front.Served()); got != 0 {
				t.Errorf("another region had %d requests", got)
			}
		})
		t.Run("after it was sent, resend "+resend, func(t *testing.T) {
			r := startRig(t, "RELAY_PROBE_INTERVAL=off", "RELAY_RESEND_AMBIGUOUS="+resend)
			r.Upstream.Script("reset-before", "reset-before")
			if a := send(t, r); a.status != http.StatusBadGateway || a.header.Get("Retry-After-Ms") == "" ||
				a.code() == "" {
				t.Errorf("got %v", a)
			}
			r.wantPosts(t, 1)
		})
	}
}

// C13: one region shows a certificate that has expired.
func expiredCertificate(t *testing.T, _ func(string)) {
	r := newRig(t, regions.Options{TLS: true})
	r.Regions[0].Expire(true)
	r.startGateway(t, "RELAY_PROBE_INTERVAL=off")
	r.sendChat(t).want(t, http.StatusOK, "region-2", 2)
	for range 5 {
		r.sendChat(t).want(t, http.StatusOK, "region-2", 1)
	}
	r.wantPosts(t, 6)
	if s := r.states(t)[0]; s.State != "down" || s.LastError != "certificate" || s.RetryInMS < 10_000 {
		t.Errorf("health says %+v", s)
	}
	r.awaitLog(t, "WARN", "upstream down", "region-1", "certificate")
	if got := len(r.Regions[0].Front.Served()); got != 0 {
		t.Errorf("the region had %d requests", got)
	}
}
