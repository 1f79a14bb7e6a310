package failover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/relay/core/protocol"
)

// A machine is a region in a bubble that may hang: it takes everything and says
// nothing.
type machine struct {
	platform string
	hung     atomic.Bool
	thinks   atomic.Int64 // time until a response, as a duration
	checking atomic.Int64 // time that a health check takes
	probes   atomic.Int32
	posts    atomic.Int32

	// If not nil, the rest of a response's body after its first byte.
	rest func(context.Context) (string, error)
}

func (m *machine) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, origin, body, wait := req.Context(), "upstream", "{}", m.thinks.Load()
	if req.URL.Path == protocol.HealthPath {
		m.probes.Add(1)
		origin, body, wait = "relay", fmt.Sprintf(`{"status":"ok","platform":%q}`, m.platform), m.checking.Load()
	} else {
		m.posts.Add(1)
	}
	if trace := httptrace.ContextClientTrace(ctx); trace != nil && trace.WroteHeaders != nil {
		trace.WroteHeaders() // as a transport does that has sent the request
	}
	if m.hung.Load() {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	for end := time.Now().Add(time.Duration(wait)); time.Now().Before(end); {
		if !pause(ctx, min(10*time.Millisecond, time.Until(end))) {
			return nil, context.Cause(ctx)
		}
		if m.hung.Load() { // in the middle of it
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
	}
	content := io.Reader(strings.NewReader(body))
	if origin == "upstream" && m.rest != nil {
		content = io.MultiReader(strings.NewReader(body[:1]), readerFunc(func(p []byte) (int, error) {
			rest, err := m.rest(ctx)
			return copy(p, rest), err
		}))
	}
	return &http.Response{StatusCode: 200, Body: io.NopCloser(content), Header: http.Header{
		"X-Relay": {"relay; origin=" + origin}, "Content-Type": {"application/json"},
	}}, nil
}

// machines returns a pool over two machines, which probes as a gateway does.
func machines(t *testing.T, platform string, opts Options) (p *Pool, a, b *machine) {
	t.Helper()
	a, b = &machine{platform: platform}, &machine{platform: platform}
	opts.ProbeInterval = 10 * time.Second
	opts.Transport = roundTripFunc(func(req *http.Request) (*http.Response, error) {
		if req.URL.Host == "a.example" {
			return a.RoundTrip(req)
		}
		return b.RoundTrip(req)
	})
	return openPool(t, opts, "https://a.example", "https://b.example"), a, b
}

// A machine that hangs after little traffic is found within a second, whatever the
// time since the last request and the last probe. A function is found when two
// checks have had their time.
func TestHungUpstreamIsFound(t *testing.T) {
	for _, test := range []struct {
		platform string
		within   time.Duration
	}{
		{"server", time.Second},
		{"aws-lambda", functionLook + 2*probeTimeout + 100*time.Millisecond},
	} {
		for _, since := range []time.Duration{
			time.Millisecond, 100 * time.Millisecond, 1900 * time.Millisecond, 2100 * time.Millisecond, 5 * time.Second,
			9900 * time.Millisecond, 11 * time.Second, 59 * time.Second, 61 * time.Second, 10 * time.Minute,
		} {
			for _, before := range []time.Duration{10 * time.Millisecond, time.Second, 7 * time.Second} {
				for _, method := range []string{"POST", "GET"} {
					synctest.Test(t, func(t *testing.T) {
						p, a, b := machines(t, test.platform, Options{})
						defer p.Close()
						time.Sleep(before)
						if status, _, sent, err := post(t, p, "x"); status != 200 || sent.Upstream != "a.example" {
							t.Fatalf("%d, %v, %+v", status, err, sent)
						}
						time.Sleep(since)
						a.hung.Store(true)
						isChecked := p.list()[0].isServer.Load() && !p.list()[0].isFresh()
						begun := time.Now()
						status, _, sent, err := request(t, p, method, "x")
						took := time.Since(begun)
						if took > test.within {
							t.Errorf("%s, %v and %v later, %s: found after %v", test.platform, before, since, method,
								took)
						}
						switch {
						case sent.Upstream == "b.example" && status == 200: // a probe or a check had found it
						case method == "POST" && isChecked:
							t.Errorf("%v and %v later: lost: %d, %v, %+v", before, since, status, err, sent)
						case method == "POST" && !failedWith(err, true, ClassUnresponsive):
							t.Errorf("%d, %v, %+v", status, err, sent)
						case method == "GET" && status != 200:
							t.Errorf("%d, %v, %+v", status, err, sent)
						}
						if n := b.posts.Load(); method == "POST" && n > 1 {
							t.Errorf("the second region got %d requests", n)
						}
						if status, _, sent, err := post(t, p, "x"); status != 200 || sent.Upstream != "b.example" {
							t.Errorf("the next request: %d, %v, %+v", status, err, sent)
						}
						time.Sleep(2 * probeTimeout) // for checks that are under way
					})
				}
			}
		}
	}
}

// A request that has waited for a while when its machine hangs does not wait much
// longer than as long again.
func TestHangsWhileARequestWaits(t *testing.T) {
	for _, after := range []time.Duration{100, 300, 500, 1000, 2500, 6000, 15000, 40000} {
		after *= time.Millisecond
		synctest.Test(t, func(t *testing.T) {
			p, a, _ := machines(t, "server", Options{})
			defer p.Close()
			a.thinks.Store(int64(time.Hour))
			time.Sleep(3 * time.Second) // until it is known what it is
			begun := time.Now()
			time.AfterFunc(after, func() { a.hung.Store(true) })
			_, _, _, err := post(t, p, "x")
			took := time.Since(begun) - after
			if limit := min(after, p.opts.ProbeInterval) + time.Second; took > limit ||
				!failedWith(err, true, ClassUnresponsive) {
				t.Errorf("hung after %v: found after %v more, want %v; %v", after, took, limit, err)
			}
		})
	}
}

// A region that thinks, or whose checks are slow, or that is as slow as all others or
// farther away than they,
// keeps its requests, and is not asked without end.
func TestSlowUpstreamIsNoHungOne(t *testing.T) {
	for _, test := range []struct {
		name     string
		platform string
		thinks   time.Duration
		checking time.Duration // of the first region
		nearby   time.Duration // of the second
		probes   int32         // at most, of the first one, beside those on schedule
	}{
		{"answers at once", "server", time.Millisecond, time.Millisecond, time.Millisecond, 0},
		{"answers quickly", "server", 200 * time.Millisecond, time.Millisecond, time.Millisecond, 0},
		{"thinks", "server", 30 * time.Second, time.Millisecond, time.Millisecond, 8},
		{"a function thinks", "aws-lambda", 30 * time.Second, time.Millisecond, time.Millisecond, 8},
		{"a function starts", "aws-lambda", 30 * time.Second, 1400 * time.Millisecond, 1400 * time.Millisecond, 8},
		{"checks take long", "server", 30 * time.Second, 400 * time.Millisecond, 400 * time.Millisecond, 16},
		{"all are slow", "server", 30 * time.Second, time.Second, time.Second, 24},
		{"is far away", "server", 30 * time.Second, 300 * time.Millisecond, 10 * time.Millisecond, 16},
		{"is farther away", "server", 30 * time.Second, 600 * time.Millisecond, 10 * time.Millisecond, 16},
		{"is as far as can be", "server", 30 * time.Second, 1400 * time.Millisecond, 10 * time.Millisecond, 24},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, a, b := machines(t, test.platform, Options{})
				defer p.Close()
				a.checking.Store(int64(test.checking))
				b.checking.Store(int64(test.nearby))
				time.Sleep(6 * time.Second)
				a.checking.Store(0) // so that the next request has no need of another check
				post(t, p, "x")
				a.checking.Store(int64(test.checking))
				a.thinks.Store(int64(test.thinks))
				b.thinks.Store(int64(test.thinks))
				before := a.probes.Load()
				begun := time.Now()
				status, _, sent, err := post(t, p, "x")
				if took := time.Since(begun); status != 200 || err != nil || sent.Upstream != "a.example" ||
					took < test.thinks {
					t.Errorf("%d, %v, %+v after %v", status, err, sent, took)
				}
				scheduled := int32(test.thinks/p.opts.ProbeInterval) + 1
				if n := a.probes.Load() - before; n > test.probes+scheduled {
					t.Errorf("%d checks, want %d at most", n, test.probes+scheduled)
				}
				time.Sleep(2 * probeTimeout) // for a check that is under way
				if st := p.Status()[0]; st.State != "up" || st.LastError != "" {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// While a check is late, no other request is sent to the upstream.
func TestNothingIsSentWhileInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, a, b := machines(t, "server", Options{})
		defer p.Close()
		post(t, p, "x")
		time.Sleep(freshFor - 100*time.Millisecond)
		a.hung.Store(true)
		first := make(chan error, 1)
		go func() {
			_, _, _, err := post(t, p, "x")
			first <- err
		}()
		time.Sleep(maxLook + checkPause + 10*time.Millisecond)
		if status, _, sent, err := post(t, p, "x"); status != 200 || sent.Upstream != "b.example" {
			t.Errorf("%d, %v, %+v", status, err, sent)
		}
		if err := <-first; !failedWith(err, true, ClassUnresponsive) {
			t.Errorf("%v", err)
		}
		if a.posts.Load() != 2 || b.posts.Load() != 1 {
			t.Errorf("%d and %d requests", a.posts.Load(), b.posts.Load())
		}
		time.Sleep(2 * probeTimeout) // for checks that are under way
	})
}

// Without probes nothing looks, and nothing is left when the pool is closed.
func TestNoLookWithoutProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, a, _ := machines(t, "server", Options{Serverless: true})
		a.thinks.Store(int64(time.Minute))
		post(t, p, "x")
		if n := a.probes.Load(); n != 0 {
			t.Errorf("%d checks", n)
		}
		p.Close()

		p, a, _ = machines(t, "server", Options{})
		a.thinks.Store(int64(time.Minute))
		go func() {
			if _, _, _, err := post(t, p, "x"); err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}()
		time.Sleep(100 * time.Millisecond)
		p.Close()
		before := a.probes.Load()
		time.Sleep(2 * time.Minute)
		if n := a.probes.Load(); n != before {
			t.Errorf("%d checks after the end", n-before)
		}
	})
}
