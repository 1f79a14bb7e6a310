package failover

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// known makes p's first upstream one that is known to be a relay.
func known(p *Pool) *Pool {
	p.list()[0].health.provedRelay()
	return p
}

// A platform's page takes a region down if the pool's own check fails as well,
// and never by itself: a firewall may dislike one client's prompt.
func TestPagesAreChecked(t *testing.T) {
	for _, test := range []struct {
		page  http.HandlerFunc
		class string
		downs int // how many such pages put the region down if its health fails, too
	}{
		{page(401, "protected"), "platform_401", 1},
		{page(403, "<html>blocked"), "platform_403", 1},
		{page(404, "no such deployment"), "platform_404", 1},
		{page(308, "", "Location", "https://login.example/"), "platform_308", 1},
		{page(429, "Rate exceeded."), "platform_429", 3},
		{page(503, "<html>"), "platform_503", 3},
		{page(502, "<html>"), "platform_502", 3},
		{reset, ClassReset, 3},
		{relayError(500, "relay_internal_error"), "relay_internal_error", 3},
	} {
		for _, serverless := range []bool{false, true} {
			for _, well := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, well %t, serverless %t", test.class, well, serverless), func(t *testing.T) {
					t.Parallel()
					a, b := newRegion(t), newRegion(t)
					p := known(newPool(t, Options{Serverless: serverless}, a, b))
					a.set(test.page)
					if !well {
						a.health.Store(&test.page)
					}
					for i := range 2 * test.downs {
						_, _, sent, _ := post(t, p, "x")
						if wantA := well || i < test.downs; (sent.Attempts == 2 || sent.Upstream == "a") != wantA {
							t.Errorf("request %d: %+v, want the first region asked: %t", i, sent, wantA)
						}
					}
					want := "down"
					if well {
						want = "up"
					}
					if st := p.Status()[0]; st.State != want || st.LastError != test.class {
						t.Errorf("%s, %q; want %s, %q", st.State, st.LastError, want, test.class)
					}
				})
			}
		}
	}
}

// A request that a firewall dislikes everywhere takes nothing from others.
func TestOneClientEjectsNobody(t *testing.T) {
	attacks := map[string]http.HandlerFunc{
		"a page of a firewall":     page(403, "<html>blocked"),
		"a reset by a firewall":    reset,
		"a function that crashes":  page(502, "<html>"),
		"a path that is not there": relayError(404, "unknown_path"),
		"a body that is too large": relayError(413, "body_too_large"),
		"a relay that panics":      relayError(500, "relay_internal_error"),
		"a response that is cut": func(w http.ResponseWriter, req *http.Request) {
			relayed(w, req)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
	}
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			regions := []*region{newRegion(t), newRegion(t), newRegion(t)}
			for _, r := range regions {
				r.set(func(w http.ResponseWriter, req *http.Request) {
					body, _ := io.ReadAll(req.Body)
					if req.Body = io.NopCloser(bytes.NewReader(body)); string(body) == "attack" {
						attack(w, req)
						return
					}
					relayed(w, req)
				})
			}
			p := newPool(t, Options{}, regions...)
			post(t, p, "hello")
			var wait sync.WaitGroup
			for range 8 {
				wait.Go(func() {
					for range 20 {
						_, _, _, _ = post(t, p, "attack")
					}
				})
			}
			wait.Wait()
			for range 5 {
				if status, _, sent, err := post(t, p, "hello"); status != 200 || err != nil || sent.Upstream != "a" ||
					sent.Attempts != 1 {
					t.Fatalf("%d, %v, %+v", status, err, sent)
				}
			}
			// And when a region is really gone, the others and the budget are there.
			regions[0].CloseClientConnections()
			regions[0].Close()
			for range 10 {
				if status, _, sent, err := post(t, p, "hello"); status != 200 || err != nil || sent.Upstream != "b" {
					t.Fatalf("a region gone: %d, %v, %+v", status, err, sent)
				}
			}
		})
	}
}

// What a client says of relays that its request has passed is not the regions'
// fault; a loop that is there without it is.
func TestLoopsByClients(t *testing.T) {
	for _, test := range []struct{ hops, state string }{{"1", "down"}, {"2", "up"}, {"3", "up"}} {
		a, b := newRegion(t), newRegion(t)
		a.set(relayError(508, "relay_loop"))
		p := known(newPool(t, Options{}, a, b))
		req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://any.example/v1/x", strings.NewReader("x"))
		req.Header.Set("Relay-Hop", test.hops)
		res, err := p.RoundTrip(req)
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("hops %s: %v, %v", test.hops, res, err)
		}
		res.Body.Close()
		if st := p.Status()[0]; st.State != test.state {
			t.Errorf("hops %s: %s, want %s", test.hops, st.State, test.state)
		}
	}
}

// Only a relay that is known as one is believed that it processed nothing, and
// nobody upon a success.
func TestForgedErrors(t *testing.T) {
	forged := func(status int) http.HandlerFunc {
		return page(status, `{"error":{"message":"m","type":"relay_error","param":null,"code":"upstream_connect"}}`,
			"X-Relay", "relay; origin=relay", "X-Relay-Error", "upstream_connect", "Content-Type", "application/json")
	}
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		health http.HandlerFunc
		known  bool
		posts  int32 // at the second region
	}{
		{"a relay", forged(502), healthy, false, 1},
		{"a relay, upon a success", forged(200), healthy, true, 0},
		{"a relay, upon a redirect", forged(307), healthy, true, 0},
		{"an API that has no health", forged(502), page(404, "none"), false, 0},
		{"an API whose health is the API's", forged(502), relayed, false, 0},
		{"an API whose health says the same", forged(502), forged(502), false, 0},
	} {
		a, b := newRegion(t), newRegion(t)
		a.set(test.answer)
		a.health.Store(&test.health)
		p := newPool(t, Options{}, a, b)
		if test.known {
			known(p)
		}
		for range 3 {
			_, _, sent, err := post(t, p, "x")
			if err != nil || sent.Relay != (test.posts > 0 && sent.Upstream == "a") {
				t.Errorf("%s: %+v, %v", test.name, sent, err)
			}
		}
		if got := min(b.posts.Load(), 1); got != test.posts {
			t.Errorf("%s: the second region got %d requests", test.name, b.posts.Load())
		}
		if st := p.Status()[0]; test.posts == 0 && st.State != "up" {
			t.Errorf("%s: %+v", test.name, st)
		}
	}
}

// APIs that are no relays and have other shapes of errors than OpenAI's keep
// their place, and their last word goes to the client.
func TestOtherAPIs(t *testing.T) {
	none := page(404, `{"detail":"Not Found"}`, "Content-Type", "application/json")
	for _, answer := range []struct {
		status int
		body   string
		header string
	}{
		{401, `{"error":{"code":"401","message":"Access denied due to invalid subscription key."}}`,
			"application/json"},
		{404, `{"detail":"Not Found"}`, "application/json"},
		{404, `{"object":"error","message":"The model does not exist.","code":404}`, "application/json"},
		{403, "Unauthorized", "text/plain"},
		{429, `{"error":{"code":"429","message":"Rate limit is exceeded."}}`, "application/json"},
		{500, `{"detail":"boom"}`, "application/json"},
	} {
		a, b := newRegion(t), newRegion(t)
		for _, r := range []*region{a, b} {
			r.set(page(answer.status, answer.body, "Content-Type", answer.header))
			r.health.Store(&none)
		}
		p := newPool(t, Options{}, a, b)
		for range 5 {
			if status, body, _, err := post(t, p, "x"); status != answer.status || body != answer.body || err != nil {
				t.Errorf("%d %q, %v; want %d %q", status, body, err, answer.status, answer.body)
			}
		}
		for _, st := range p.Status() {
			if st.State != "up" {
				t.Errorf("%d %s: %+v", answer.status, answer.body, st)
			}
		}
		a.set(relayed)
		if status, _, sent, err := post(t, p, "x"); status != 200 || err != nil || sent.Upstream != "a" {
			t.Errorf("afterwards: %d, %+v, %v", status, sent, err)
		}
	}
}

// A front of HTTP/2 that takes shorter headers than the relay has done nothing
// wrong.
func TestHeadersTooLargeForHTTP2(t *testing.T) {
	a, b := unstartedRegion(t), unstartedRegion(t)
	for _, r := range []*region{a, b} {
		r.EnableHTTP2 = true
		r.Config.MaxHeaderBytes = 16 << 10
		r.StartTLS()
	}
	p := newPool(t, Options{TLS: trusting(a.Server), HTTP: HTTP2}, a, b)
	urls := []string{a.URL + "#a", b.URL + "#b"}
	for range 2 { // each one's SETTINGS have come by the end of a request
		slices.Reverse(urls)
		if err := p.SetUpstreams(urls); err != nil {
			t.Fatal(err)
		}
		if status, _, _, err := post(t, p, "x"); status != 200 || err != nil {
			t.Fatal(status, err)
		}
	}
	req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://any.example/v1/x", strings.NewReader("x"))
	req.Header.Set("X-Long", strings.Repeat("x", 40<<10))
	_, err := p.RoundTrip(req)
	if !failedWith(err, false, ClassHeaders, ClassHeaders) {
		t.Errorf("got %v", err)
	}
	for _, st := range p.Status() {
		if st.State != "up" || st.LastError != "" {
			t.Errorf("%+v", st)
		}
	}
	if status, _, sent, err := post(t, p, "x"); status != 200 || err != nil || sent.Upstream != "a" {
		t.Errorf("%d, %+v, %v", status, sent, err)
	}
}

// A body that trickles, or that brings nothing for ever once it was closed, is
// looked at for two seconds and no longer.
func TestPeekEnds(t *testing.T) {
	for _, closed := range []struct {
		n   int
		err error
	}{{0, nil}, {1, nil}, {0, io.ErrClosedPipe}} {
		synctest.Test(t, func(t *testing.T) {
			src := &trickle{n: closed.n, err: closed.err}
			res := &http.Response{
				Header: http.Header{"Content-Type": {"application/json"}},
				Body: &body{ReadCloser: src,
					a: &attempt{pool: &Pool{clock: time.Now}, ctx: t.Context(), own: t.Context()}},
				ContentLength: 1e9,
			}
			begun := time.Now()
			if head := peek(res); len(head) > 1<<10 {
				t.Errorf("read %d bytes", len(head))
			}
			synctest.Wait() // for the timer that closes the body
			if took := time.Since(begun); took > peekTimeout+time.Second || !src.closed.Load() {
				t.Errorf("took %v, closed %t", took, src.closed.Load())
			}
			if _, err := io.Copy(io.Discard, res.Body); err == nil {
				t.Error("what was given up looks complete")
			}
		})
	}
}

// A trickle is a body that brings a byte each 100 ms and, once it is closed, n
// bytes and err each time.
type trickle struct {
	n      int
	err    error
	closed atomic.Bool
}

func (b *trickle) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return b.n, b.err
	}
	time.Sleep(100 * time.Millisecond)
	p[0] = '{'
	return 1, nil
}

func (b *trickle) Close() error { b.closed.Store(true); return nil }

// Retries that clients provoke do not use up the budget of the others.
func TestBudgetsAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b budget
		for b.retry(provoked) {
		}
		allowed := 0
		for ; b.retry(failing); allowed++ {
		}
		if want := budgetFloor * budgetSpan; allowed != want {
			t.Errorf("%d retries, want %d", allowed, want)
		}
	})
}

// A region's id of a response must not lead the client's key, and another
// region's token, to another path.
func TestResumeWithForeignIDs(t *testing.T) {
	first := func(ids ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
			w.Header().Set("X-Relay", "relay; origin=upstream")
			w.Header().Set("Content-Type", "text/event-stream")
			for i, id := range ids {
				_, _ = fmt.Fprintf(w,
					"data: {\"type\":\"response.created\",\"sequence_number\":%d,\"response\":{\"id\":%q}}\n\n", i, id)
			}
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}
	for _, test := range []struct {
		ids  []string
		want string // path of the resume, or ""
	}{
		{[]string{"../files/file-1/content"}, ""},
		{[]string{"..%2ffiles%2ffile-1"}, ""},
		{[]string{"resp_1?x=y"}, ""},
		{[]string{"resp_1#"}, ""},
		{[]string{".."}, ""},
		{[]string{"resp\r\nX: y"}, ""},
		{[]string{strings.Repeat("a", maxID+1)}, ""},
		{[]string{"resp_ä"}, ""},
		{[]string{"resp_1", "resp_2"}, "/v1/responses/resp_1"},
		{[]string{"resp_1", "../files"}, "/v1/responses/resp_1"},
		{[]string{strings.Repeat("a", maxID)}, "/v1/responses/" + strings.Repeat("a", maxID)},
	} {
		var paths []string
		var mu sync.Mutex
		a := newRegion(t)
		a.set(first(test.ids...))
		b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			paths = append(paths, req.Method+" "+req.URL.EscapedPath())
			w.WriteHeader(http.StatusNotFound)
		}))
		p := openPool(t, Options{ResumeResponses: true}, a.URL+"#a", b.URL+"#b")
		req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://any.example/v1/responses",
			strings.NewReader(`{"background":true,"stream":true}`))
		res, err := p.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		b.Close()
		if want := "GET " + test.want; test.want == "" && len(paths) > 0 || test.want != "" &&
			(len(paths) == 0 || paths[0] != want) {
			t.Errorf("ids %q: the second region got %q, want %q", test.ids, paths, test.want)
		}
	}
}

// A large event that comes byte by byte is looked at once.
func BenchmarkEventInSingleBytes(b *testing.B) {
	event := append(bytes.Repeat([]byte("\n"), 1<<20), "data: "+strings.Repeat("x", 3<<20)+"\n\n"...)
	for b.Loop() {
		var s scan
		var pending []byte
		for i, c := range event {
			pending = append(pending, c)
			if n := s.eventEnd(pending); (n > 0) != (i == len(event)-1) {
				b.Fatalf("an event of %d bytes after %d", n, i)
			}
		}
	}
}
