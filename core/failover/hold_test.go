package failover

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/relay/core/failover/internal/conn"
	"example.com/relay/core/protocol"
)

// holdAll is a Route's Hold for whole responses.
func holdAll(res *http.Response) error {
	b, err := io.ReadAll(res.Body)
	if err == nil {
		res.Body.Close()
		res.Body = io.NopCloser(strings.NewReader(string(b)))
	}
	return err
}

// A response that is held back has not begun for whoever sent the request: if its
// upstream hangs or breaks in the middle of it, the request ends, or is sent again, as if
// there had been no response. What is not held back keeps its time.
func TestHeldResponses(t *testing.T) {
	hangs, breaks, thinks := "hangs", "breaks", "thinks"
	resending := Options{ResendAmbiguous: true}
	for _, test := range []struct {
		what     string
		opts     Options
		method   string
		unheld   bool
		upstream string // that responds; or else:
		class    string
		within   time.Duration
	}{
		{hangs, Options{}, "POST", false, "", ClassUnresponsive, time.Second},
		{hangs, resending, "POST", false, "b.example", "", time.Second},
		{hangs, Options{}, "GET", false, "b.example", "", time.Second},
		{hangs, Options{}, "POST", true, "a.example", "", conn.DeadAfter + 5*time.Second},
		{breaks, Options{}, "POST", false, "", ClassInterrupted, 0},
		{breaks, resending, "POST", false, "b.example", "", 0},
		{breaks, Options{}, "GET", false, "b.example", "", 0},
		{breaks, resending, "POST", true, "a.example", "", 0},
		{thinks, Options{}, "POST", false, "a.example", "", time.Minute},
		{thinks, resending, "POST", false, "a.example", "", time.Minute},
	} {
		name := test.what + " " + test.method
		synctest.Test(t, func(t *testing.T) {
			p, a, b := machines(t, "server", test.opts)
			defer p.Close()
			a.rest = func(ctx context.Context) (string, error) {
				switch test.what {
				case breaks:
					return "", io.ErrUnexpectedEOF
				case thinks:
					pause(ctx, time.Minute)
					return "}", io.EOF
				}
				a.hung.Store(true)
				<-ctx.Done()
				return "", context.Cause(ctx)
			}
			time.Sleep(3 * time.Second) // until it is known what they are
			req, err := http.NewRequestWithContext(t.Context(), test.method, "https://relay.example/v1/x", nil)
			if err != nil {
				t.Fatal(err)
			}
			route := Route{Hold: holdAll}
			if test.unheld {
				route.Hold = nil
			}
			begun := time.Now()
			res, sent, err := p.Send(req, route)
			var body []byte
			if err == nil {
				body, _ = io.ReadAll(res.Body)
				res.Body.Close()
			}
			if took := time.Since(begun); took > test.within || test.unheld && took < test.within/2 {
				t.Errorf("%s: took %v", name, took)
			}
			switch {
			case test.upstream == "" && !failedWith(err, true, test.class):
				t.Errorf("%s: %v, want an ambiguous failure: %s", name, err, test.class)
			case test.upstream != "" && (err != nil || sent.Upstream != test.upstream || !test.unheld &&
				string(body) != "{}"):
				t.Errorf("%s: %q by %s, %v; want {} by %s", name, body, sent.Upstream, err, test.upstream)
			}
			if n := b.posts.Load(); (n > 0) != (test.upstream == "b.example") || n > 1 {
				t.Errorf("%s: the second region got %d requests", name, n)
			}
			time.Sleep(2 * probeTimeout) // for checks that are under way
			if st := p.Status()[0]; test.what == hangs && st.State != "down" || test.what == thinks &&
				st.LastError != "" {
				t.Errorf("%s: %+v", name, st)
			}
		})
	}
}

// A truncated fallback is not used.
func TestHeldFallback(t *testing.T) {
	a, b := newRegion(t), newRegion(t)
	a.set(relayError(http.StatusServiceUnavailable, "relay_overloaded"))
	b.set(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Length", "1000")
		relayError(http.StatusServiceUnavailable, "relay_overloaded")(w, req)
	})
	p := newPool(t, Options{}, a, b)
	for _, hold := range []func(*http.Response) error{nil, holdAll} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://any.example/v1/x",
			strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		res, _, err := p.Send(req, Route{Hold: hold})
		if err == nil {
			res.Body.Close()
		}
		if hold == nil && (err != nil || res.StatusCode != http.StatusServiceUnavailable) {
			t.Errorf("%v, want the fallback", err)
		}
		if hold != nil && !failedWith(err, false, "relay_overloaded", "relay_overloaded") {
			t.Errorf("%v, want a failure of both", err)
		}
	}
}

// A fallback is waited for when nothing better is left: if its region hangs by then, that
// is noticed.
func TestHeldFallbackHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &machine{platform: "server"}
		p := openPool(t, Options{ProbeInterval: 10 * time.Second,
			Transport: roundTripFunc(func(req *http.Request) (*http.Response, error) {
				switch {
				case req.URL.Path == protocol.HealthPath:
					return a.RoundTrip(req) // b's as well
				case req.URL.Host == "b.example":
					time.Sleep(time.Second)
					return nil, errors.New("not sent")
				}
				return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{
					"X-Relay": {"relay; origin=relay"}, "X-Relay-Error": {"relay_overloaded"},
					"Content-Type": {"application/json"},
				}, Body: io.NopCloser(readerFunc(func([]byte) (int, error) {
					a.hung.Store(true)
					<-req.Context().Done()
					return 0, context.Cause(req.Context())
				}))}, nil
			})}, "https://a.example", "https://b.example")
		defer p.Close()
		time.Sleep(3 * time.Second) // until it is known what they are
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://relay.example/v1/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		_, _, err = p.Send(req, Route{Hold: holdAll})
		if took := time.Since(begun); took > 10*time.Second || !failedWith(err, false, "relay_overloaded", ClassReset) {
			t.Errorf("%v after %v", err, took)
		}
		time.Sleep(2 * probeTimeout) // for checks that are under way
	})
}
