package failover

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A request after a silence is not lost in a region that hangs: it goes to one that
// responds, and the one that hangs is down within a second.
func TestNoRequestIsLostAfterASilence(t *testing.T) {
	for _, silence := range []time.Duration{1100 * time.Millisecond, 5 * time.Second, 59 * time.Second,
		61 * time.Second, 10 * time.Minute} {
		for _, hung := range []int{1, 2} { // of three
			synctest.Test(t, func(t *testing.T) {
				regions := map[string]*machine{}
				for _, host := range []string{"a.example", "b.example", "c.example"} {
					regions[host] = &machine{platform: "server"}
				}
				p := openPool(t, Options{ProbeInterval: 10 * time.Second,
					Transport: roundTripFunc(func(req *http.Request) (*http.Response, error) {
						return regions[req.URL.Host].RoundTrip(req)
					})}, "https://a.example", "https://b.example", "https://c.example")
				defer p.Close()
				time.Sleep(3 * time.Second) // until it is known what they are
				post(t, p, "x")
				time.Sleep(silence)
				want := "b.example"
				regions["a.example"].hung.Store(true)
				if hung == 2 {
					regions["b.example"].hung.Store(true)
					want = "c.example"
				}
				begun := time.Now()
				status, _, sent, err := post(t, p, "x")
				if took := time.Since(begun); status != 200 || err != nil || sent.Upstream != want ||
					took > time.Duration(hung)*500*time.Millisecond {
					t.Errorf("%d hang after %v: %d, %v, %+v after %v; want 200 by %s", hung, silence, status, err, sent,
						took, want)
				}
				time.Sleep(time.Until(begun.Add(time.Second)))
				if st := p.Status()[0]; st.State != "down" {
					t.Errorf("%d hang after %v: a second later: %+v", hung, silence, st)
				}
				if a := regions["a.example"].posts.Load(); a != 1 {
					t.Errorf("%d requests reached a region that hung", a-1)
				}
				time.Sleep(2 * probeTimeout) // for checks that are under way
			})
		}
	}
}

// Only what could be lost is checked before: a POST, after a silence, to a region
// whose check costs nothing, unless it may be sent again.
func TestWhenLifeIsChecked(t *testing.T) {
	for _, test := range []struct {
		name     string
		platform string
		opts     Options
		method   string
		silence  time.Duration
		together int
		checks   int32
	}{
		{"after a silence", "server", Options{}, "POST", 5 * time.Second, 1, 1},
		{"twenty at once", "server", Options{}, "POST", 5 * time.Second, 20, 1},
		{"shortly after another", "server", Options{}, "POST", 900 * time.Millisecond, 1, 0},
		{"GET", "server", Options{}, "GET", 5 * time.Second, 1, 0},
		{"may be sent again", "server", Options{ResendAmbiguous: true}, "POST", 5 * time.Second, 1, 0},
		{"a function", "aws-lambda", Options{}, "POST", 5 * time.Second, 1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, a, b := machines(t, test.platform, test.opts)
				defer p.Close()
				a.checking.Store(int64(50 * time.Millisecond)) // as from another continent
				time.Sleep(3 * time.Second)
				post(t, p, "x")
				time.Sleep(test.silence)
				before := a.probes.Load()
				begun := time.Now()
				var all sync.WaitGroup
				for range test.together {
					all.Go(func() {
						if status, _, sent, err := request(t, p, test.method, "x"); status != 200 ||
							sent.Upstream != "a.example" {
							t.Errorf("%d, %v, %+v", status, err, sent)
						}
					})
				}
				all.Wait()
				if n := a.probes.Load() - before; n != test.checks {
					t.Errorf("%d checks, want %d", n, test.checks)
				}
				if took, want := time.Since(begun), time.Duration(test.checks)*50*time.Millisecond; took != want {
					t.Errorf("took %v, want the %v of a check", took, want)
				}
				if n := b.posts.Load(); n != 0 {
					t.Errorf("the other region had %d requests", n)
				}
			})
		})
	}
}

// A region whose model thinks is no region that hangs, and nor is one whose checks
// take as long as they always do.
func TestSlowRegionShowsLife(t *testing.T) {
	for _, checking := range []time.Duration{time.Millisecond, 150 * time.Millisecond, 240 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			p, a, b := machines(t, "server", Options{})
			defer p.Close()
			a.thinks.Store(int64(3 * time.Minute))
			a.checking.Store(int64(checking))
			time.Sleep(3 * time.Second)
			var all sync.WaitGroup
			for range 20 {
				time.Sleep(7 * time.Second)
				all.Go(func() {
					if status, _, sent, err := post(t, p, "x"); status != 200 || sent.Upstream != "a.example" {
						t.Errorf("%d, %v, %+v", status, err, sent)
					}
				})
			}
			all.Wait()
			if b.posts.Load() != 0 || p.Status()[0].LastError != "" {
				t.Errorf("the other region had %d requests; %+v", b.posts.Load(), p.Status()[0])
			}
		})
	}
}

// A connect is not held up by the check of another region: when it is established, the
// request is sent.
func TestConnectIsNotHeldUpByACheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, a, b := machines(t, "server", Options{})
		defer p.Close()
		time.Sleep(3 * time.Second)                               // until it is known what they are
		for _, name := range []string{"a.example", "b.example"} { // so that each has a connection
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://any.example/v1/responses",
				strings.NewReader("x"))
			if err != nil {
				t.Fatal(err)
			}
			res, sent, err := p.Send(req, Route{Upstreams: []string{name}})
			if err != nil || sent.Upstream != name {
				t.Fatalf("%v, %+v", err, sent)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		time.Sleep(5 * time.Second)
		const checking = hedgeDelay + 50*time.Millisecond // longer than it may take over the old connection
		a.checking.Store(int64(checking))
		b.hung.Store(true)
		begun := time.Now()
		status, _, sent, err := post(t, p, "x")
		if took, want := time.Since(begun), minPatience+checking; status != 200 || sent.Upstream != "a.example" ||
			took != want {
			t.Errorf("%d, %v, %+v after %v, want 200 by a.example after %v", status, err, sent, took, want)
		}
		if sent.Attempts != 2 {
			t.Errorf("%d attempts, want the connect and its hedge", sent.Attempts)
		}
		time.Sleep(2 * probeTimeout) // for checks that are under way
	})
}

// A client that leaves while its region is checked sends nothing.
func TestClientLeavesDuringTheCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, a, b := machines(t, "server", Options{})
		defer p.Close()
		time.Sleep(3 * time.Second)
		post(t, p, "x")
		time.Sleep(5 * time.Second)
		a.hung.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://relay.example/v1/x",
			strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if _, err := p.RoundTrip(req); err == nil || time.Since(begun) > 100*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		time.Sleep(2 * probeTimeout) // for checks that are under way
		if a.posts.Load() != 1 || b.posts.Load() != 0 {
			t.Errorf("%d and %d requests were sent", a.posts.Load(), b.posts.Load())
		}
	})
}

// A machine that hangs is detected although the proxy in front of it still accepts
// connections and responds to frames.
func TestFrontHidesNoHungMachine(t *testing.T) {
	for _, platform := range []string{"server", "aws-lambda"} {
		synctest.Test(t, func(t *testing.T) {
			p, a, _ := machines(t, platform, Options{ResendAmbiguous: true})
			defer p.Close()
			time.Sleep(3 * time.Second)
			post(t, p, "x")
			time.Sleep(5 * time.Second)
			a.hung.Store(true)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				for range 200 {
					pause(ctx, 50*time.Millisecond)
					p.list()[0].silence.hear()
				}
				a.hung.Store(false) // long after it should have been found
			}()
			within := time.Second
			if platform != "server" {
				within = functionLook + 2*probeTimeout + 100*time.Millisecond
			}
			begun := time.Now()
			status, _, sent, err := post(t, p, "x")
			if took := time.Since(begun); status != 200 || sent.Upstream != "b.example" || took > within {
				t.Errorf("%s: %d, %v, %+v after %v", platform, status, err, sent, took)
			}
		})
	}
}

// A drip is a body that goes on for ever, a byte each 100 ms.
type drip struct{ ctx context.Context }

func (d drip) Read(b []byte) (int, error) {
	if !pause(d.ctx, 100*time.Millisecond) {
		return 0, context.Cause(d.ctx)
	}
	b[0] = '.'
	return 1, nil
}

func (drip) Close() error { return nil }

// While a stream of a region goes on, the region does not hang, whatever its health
// checks do: requests that wait for it are left to it.
func TestStreamShowsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &machine{platform: "server"}, &machine{platform: "server"}
		p := openPool(t, Options{ProbeInterval: 10 * time.Second,
			Transport: roundTripFunc(func(req *http.Request) (*http.Response, error) {
				m := a
				if req.URL.Host == "b.example" {
					m = b
				}
				res, err := m.RoundTrip(req)
				if err == nil && req.URL.Path == "/v1/stream" {
					res.Body = drip{req.Context()}
				}
				return res, err
			})}, "https://a.example", "https://b.example")
		defer p.Close()
		time.Sleep(3 * time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://relay.example/v1/stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := p.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, res.Body); res.Body.Close() }()
		time.Sleep(5 * time.Second)
		a.checking.Store(int64(time.Hour))
		a.thinks.Store(int64(4 * time.Second))
		if status, _, sent, err := post(t, p, "x"); status != 200 || sent.Upstream != "a.example" {
			t.Errorf("%d, %v, %+v", status, err, sent)
		}
		cancel()
		time.Sleep(2 * probeTimeout) // for checks that are under way
	})
}
