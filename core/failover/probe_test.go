package failover

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/relay/core/protocol"
)

// A roundTripFunc is a RoundTripper that is a function.
type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// A probedRegion responds to probes and requests without a network, so that time is
// the bubble's.
type probedRegion struct {
	dead   atomic.Bool
	probes atomic.Int32
	posts  atomic.Int32
}

func (r *probedRegion) answer(req *http.Request) (*http.Response, error) {
	origin := "upstream"
	if req.URL.Path == protocol.HealthPath {
		r.probes.Add(1)
		origin = "relay"
	} else {
		r.posts.Add(1)
	}
	if r.dead.Load() {
		return nil, syscall.ECONNREFUSED
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("{}")), Header: http.Header{
		"X-Relay": {"relay; origin=" + origin}, "Content-Type": {"application/json"},
	}}, nil
}

// probedPool returns a pool over two such regions, in a bubble.
func probedPool(t *testing.T, opts Options) (p *Pool, a, b *probedRegion) {
	t.Helper()
	a, b = new(probedRegion), new(probedRegion)
	opts.Transport = roundTripFunc(func(req *http.Request) (*http.Response, error) {
		if req.URL.Host == "a.example" {
			return a.answer(req)
		}
		return b.answer(req)
	})
	return openPool(t, opts, "https://a.example", "https://b.example"), a, b
}

func TestProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, a, _ := probedPool(t, Options{ProbeInterval: 10 * time.Second})
		defer p.Close()
		serve := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
				if status, _, _, err := post(t, p, "x"); status != 200 || err != nil {
					t.Fatalf("got %d %v", status, err)
				}
			}
		}
		serve(30 * time.Second)
		if n := a.probes.Load(); n < 2 || n > 4 {
			t.Errorf("%d probes in 30 s of traffic, want one every 10 s", n)
		}
		before := a.probes.Load()
		time.Sleep(4 * time.Minute)
		if n := a.probes.Load() - before; n < 3 || n > 6 {
			t.Errorf("%d probes in 4 minutes without traffic, want one a minute", n)
		}

		// Without any request, probes find out that a region is gone.
		a.dead.Store(true)
		time.Sleep(70 * time.Second)
		if st := p.Status()[0]; st.State != "down" || st.LastError == "" {
			t.Errorf("a dead region is %+v", st)
		}
		serve(2 * time.Second) // by the other one

		// And that it is back: under traffic, within 5 s.
		a.dead.Store(false)
		posts := a.posts.Load()
		serve(5 * time.Second)
		if p.Status()[0].State != "up" || a.posts.Load() == posts {
			t.Errorf("a region that came back is %+v and got %d requests", p.Status()[0], a.posts.Load()-posts)
		}
	})
}

// Somebody looks: what they see is as fresh as under traffic, and says how old it
// is.
func TestStatusIsFreshWhileWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, a, _ := probedPool(t, Options{ProbeInterval: 10 * time.Second})
		defer p.Close()
		if st := p.Status()[0]; !st.CheckedAt.IsZero() || !st.ErrorAt.IsZero() || st.State != "up" {
			t.Errorf("an upstream that was never used is %+v", st)
		}
		if status, _, _, err := post(t, p, "x"); status != 200 || err != nil {
			t.Fatalf("got %d %v", status, err)
		}
		time.Sleep(3 * time.Minute)
		p.Status()
		a.dead.Store(true)
		died := time.Now()
		watch := func(state string, within time.Duration) Status {
			t.Helper()
			for end := time.Now().Add(within); ; time.Sleep(time.Second) {
				st := p.Status()[0]
				// The first look causes the first probe.
				if age := time.Since(st.CheckedAt); age > 13*time.Second && time.Since(died) > 3*time.Second {
					t.Fatalf("watched for %v, and the newest observation is %v old", time.Since(died), age)
				}
				if st.State == state {
					return st
				}
				if time.Now().After(end) {
					t.Fatalf("%v: %+v, want %s", within, st, state)
				}
			}
		}
		if st := watch("suspect", 13*time.Second); st.LastError == "" || st.ErrorAt.Before(died) || st.RetryIn != 0 {
			t.Errorf("after one failed probe: %+v", st)
		}
		watch("down", 5*time.Second)
		a.dead.Store(false)
		if st := watch("up", 15*time.Second); st.LastError == "" || !st.CheckedAt.After(st.ErrorAt) {
			t.Errorf("after it came back: %+v, want the error and its time", st)
		}
	})
}

func TestNoProbes(t *testing.T) {
	for name, opts := range map[string]Options{
		"off":        {},
		"serverless": {ProbeInterval: time.Second, Serverless: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			p, a, b := probedPool(t, opts)
			defer p.Close()
			if _, _, _, err := post(t, p, "x"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
			if a.probes.Load()+b.probes.Load() != 0 {
				t.Errorf("%s: %d probes", name, a.probes.Load()+b.probes.Load())
			}
		})
	}
}
