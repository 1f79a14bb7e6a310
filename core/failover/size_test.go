package failover

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/relay/core/internal/replay"
	"example.com/relay/core/protocol"
)

// counted answers, as a relay forwards it, with how many bytes of the body came.
func counted(w http.ResponseWriter, req *http.Request) {
	n, err := io.Copy(io.Discard, req.Body)
	if err != nil {
		return
	}
	w.Header().Set("X-Relay", "relay; origin=upstream")
	_, _ = fmt.Fprint(w, n)
}

// unread responses as h does, without a look at the body.
func unread(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { h(w, &http.Request{Body: http.NoBody}) }
}

// A busy machine may take its time for a short body.
func init() { lookAhead = 5 * time.Second }

// limited makes r a relay that takes bodies up to limit, and says so.
func (r *region) limited(limit int64) {
	says := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Relay", "relay; origin=relay")
		_, _ = fmt.Fprintf(w, `{"status":"ok","max_body_bytes":%d}`, limit)
	})
	r.health.Store(&says)
	r.set(func(w http.ResponseWriter, req *http.Request) {
		if req.ContentLength > limit {
			unread(relayError(413, protocol.BodyTooLarge))(w, req)
			return
		}
		body, err := io.ReadAll(io.LimitReader(req.Body, limit+1))
		if int64(len(body)) > limit || err != nil {
			unread(relayError(413, protocol.BodyTooLarge))(w, req)
			return
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		counted(w, req)
	})
}

// refusing makes r a region whose platform refuses bodies over limit with its own
// page, before it reads them.
func (r *region) refusing(limit int64, refuse http.HandlerFunc) {
	r.set(func(w http.ResponseWriter, req *http.Request) {
		if req.ContentLength > limit || req.ContentLength < 0 {
			unread(refuse)(w, req)
			return
		}
		counted(w, req)
	})
}

// platforms413 are how platforms respond to a body that is too large.
var platforms413 = map[string]http.HandlerFunc{
	"Lambda": page(413, `{"Message":"Request must be smaller than 6291456 bytes for the InvokeFunction operation"}`,
		"Content-Type", "application/json", "X-Amzn-Errortype", "RequestEntityTooLargeException"),
	"API Gateway": page(413, `{"message":"Request Too Long"}`, "Content-Type", "application/json"),
	"Cloud Run": page(413, "<html><title>Error 413 (Request Entity Too Large)!!1</title>", "Content-Type",
		"text/html"),
	"Vercel": page(413, "Request Entity Too Large\n\nFUNCTION_PAYLOAD_TOO_LARGE\n", "X-Vercel-Error",
		"FUNCTION_PAYLOAD_TOO_LARGE"),
	"Cloudflare": page(413, "<html>413 Payload Too Large", "Server", "cloudflare", "Cf-Ray", "1"),
	"compressed": page(413, "packed", "Content-Encoding", "br"),
}

// sendBody posts a body of that many bytes. Of unknown length it comes all at
// once, or in pieces that take their time.
func sendBody(t *testing.T, p *Pool, size int, known bool, header ...string) (*http.Response, string, Result, error) {
	t.Helper()
	var body io.Reader = strings.NewReader(strings.Repeat("x", size))
	if !known {
		body = io.NopCloser(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://any.example/v1/files", body)
	if err != nil {
		t.Fatal(err)
	}
	if req.GetBody = nil; !known {
		req.ContentLength = -1
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, sent, err := p.Send(req, Route{})
	if err != nil {
		return nil, "", sent, err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	return res, string(got), sent, err
}

// The first region takes smaller bodies than the second: a body that does not fit
// goes to the second, whether the gateway knows the limit or has to ask, and the
// first has nothing to be blamed for.
func TestBodyThatTheFirstCannotTake(t *testing.T) {
	const small, large = 4608 << 10, 32 << 20
	for _, size := range []int{100, replay.MaxBytes, 5 << 20} {
		for _, known := range []bool{true, false} {
			for _, probed := range []bool{true, false} {
				t.Run(fmt.Sprintf("%d bytes, known %t, probed %t", size, known, probed), func(t *testing.T) {
					t.Parallel()
					a, b := newRegion(t), newRegion(t)
					a.limited(small)
					b.limited(large)
					p := newPool(t, Options{}, a, b)
					if probed {
						for _, u := range p.list() {
							p.probe(t.Context(), u)
						}
					}
					res, body, sent, err := sendBody(t, p, size, known)
					want := "a"
					if size > small {
						want = "b"
					}
					if err != nil || res.StatusCode != 200 || body != fmt.Sprint(size) || sent.Upstream != want {
						t.Fatalf("%v, %v, %s bytes, %+v", res, err, body, sent)
					}
					if n := a.posts.Load(); (probed || !known) && want == "b" && n != 0 {
						t.Errorf("the first region got %d requests", n)
					}
					if st := p.Status()[0]; st.State != "up" || st.LastError != "" {
						t.Errorf("the first region: %+v", st)
					}
				})
			}
		}
	}
}

// A platform refuses a body before the relay sees it. Large ones are not sent to
// it in vain: it is asked first, and not at all the next time.
func TestPlatformsThatRefuseABody(t *testing.T) {
	for name, refuse := range platforms413 {
		for _, size := range []int{100 << 10, 5 << 20} {
			t.Run(fmt.Sprintf("%s, %d bytes", name, size), func(t *testing.T) {
				t.Parallel()
				a, b := newRegion(t), newRegion(t)
				a.refusing(50<<10, refuse)
				b.set(counted)
				p := known(newPool(t, Options{}, a, b))
				for i := range 3 {
					res, body, sent, err := sendBody(t, p, size, true)
					if err != nil || res.StatusCode != 200 || body != fmt.Sprint(size) || sent.Upstream != "b" {
						t.Fatalf("%v, %v, %s bytes, %+v", res, err, body, sent)
					}
					if asked := i == 0 || size < replay.MaxBytes; asked != (sent.Attempts == 2) {
						t.Errorf("request %d: %+v", i+1, sent)
					}
				}
				if st := p.Status()[0]; st.State != "up" || st.LastError != "" {
					t.Errorf("the first region: %+v", st)
				}
			})
		}
	}
}

// If no region takes the body, the client is told so, once: a 413 that no SDK
// retries, whatever the others say.
func TestBodyThatNobodyTakes(t *testing.T) {
	busy := unread(page(503, "<html>"))
	refusals := []struct {
		name string
		set  func(*region)
	}{
		{"a relay", func(r *region) { r.limited(1000) }},
		{"a platform", func(r *region) { r.refusing(1000, platforms413["Lambda"]) }},
	}
	others := []struct {
		name string
		set  func(*region)
	}{
		{"the same", nil},
		{"closed", func(r *region) { r.Close() }},
		{"busy", func(r *region) { r.set(busy) }},
		{"full", func(r *region) { r.set(unread(relayError(503, "relay_overloaded"))) }},
	}
	for _, refusal := range refusals {
		for _, other := range others {
			for _, first := range []bool{true, false} {
				for _, size := range []int{5000, 3 << 20} {
					t.Run(fmt.Sprintf("%s, then %s, first %t, %d bytes", refusal.name, other.name, first, size),
						func(t *testing.T) {
							t.Parallel()
							a, b := newRegion(t), newRegion(t)
							regions := []*region{a, b}
							if !first {
								regions = []*region{b, a}
							}
							p := newPool(t, Options{}, regions...)
							known(p).list()[1].health.provedRelay()
							refusal.set(a)
							if other.set == nil {
								refusal.set(b)
							} else {
								other.set(b)
							}
							res, _, sent, err := sendBody(t, p, size, true)
							e, ok := err.(*Error)
							switch {
							case err == nil && res.StatusCode == 413 && sent.Relay:
							case ok && e.TooLarge() && !e.Ambiguous:
							default:
								t.Errorf("%v, %v, %+v", res, err, sent)
							}
							if st := p.Status(); other.set == nil && (st[0].LastError != "" || st[1].LastError != "") {
								t.Errorf("%+v", st)
							}
						})
				}
			}
		}
	}
}

// A region that does not fit is left out without an attempt, so that the fourth
// can have what three cannot take.
func TestSkippingIsNoAttempt(t *testing.T) {
	regions := []*region{newRegion(t), newRegion(t), newRegion(t), newRegion(t)}
	p := newPool(t, Options{}, regions...)
	for i, u := range p.list() {
		limit := int64(1000)
		if i == 3 {
			limit = 1 << 30
		}
		regions[i].limited(limit)
		p.probe(t.Context(), u)
	}
	if res, _, sent, err := sendBody(t, p, 5000, true); err != nil || res.StatusCode != 200 || sent.Upstream != "d" ||
		sent.Attempts != 1 {
		t.Errorf("%v, %v, %+v", res, err, sent)
	}
	for _, u := range p.list() {
		u.sizes.set(1000)
	}
	_, _, sent, err := sendBody(t, p, 5000, true)
	if e, ok := err.(*Error); !ok || !e.TooLarge() || len(e.Failures) != 4 || sent.Attempts != 0 {
		t.Errorf("%v, %+v", err, sent)
	}
}

// Which requests ask before they send their body.
func TestAskingFirst(t *testing.T) {
	for _, test := range []struct {
		name    string
		size    int
		known   bool
		limits  [2]int64 // of the regions; 0 is unknown
		took    int64    // of the first region's bodies before
		header  []string
		regions int
		expect  string
	}{
		{"small", 1000, true, [2]int64{}, 0, nil, 2, ""},
		{"large", 2 << 20, true, [2]int64{}, 0, nil, 2, "100-continue"},
		{"large, within the limit", 2 << 20, true, [2]int64{4 << 20, 0}, 0, nil, 2, "100-continue"},
		{"large, as before", 2 << 20, true, [2]int64{4 << 20, 0}, 2 << 20, nil, 2, ""},
		{"larger than before", 2 << 20, true, [2]int64{4 << 20, 0}, 2<<20 - 1, nil, 2, "100-continue"},
		{"large, one upstream", 2 << 20, true, [2]int64{}, 0, nil, 1, ""},
		{"large, the client asks", 2 << 20, true, [2]int64{4 << 20, 0}, 2 << 20, []string{"Expect", "100-continue"}, 2,
			"100-continue"},
		{"small, unknown length", 1000, false, [2]int64{}, 0, nil, 2, ""},
		{"large, unknown length", 2 << 20, false, [2]int64{}, 0, nil, 2, "100-continue"},
		{"large, unknown length, same limits", 2 << 20, false, [2]int64{4 << 20, 4 << 20}, 0, nil, 2, ""},
		{"large, unknown length, other limits", 2 << 20, false, [2]int64{8 << 20, 4 << 20}, 0, nil, 2, "100-continue"},
	} {
		t.Run(test.name, func(t *testing.T) {
			regions := []*region{newRegion(t), newRegion(t)}[:test.regions]
			for _, r := range regions {
				r.set(counted)
			}
			p := newPool(t, Options{}, regions...)
			for i, u := range p.list() {
				if test.limits[i] > 0 {
					u.sizes.set(test.limits[i])
				}
				u.sizes.accept(test.took)
			}
			res, body, sent, err := sendBody(t, p, test.size, test.known, test.header...)
			if err != nil || res.StatusCode != 200 || body != fmt.Sprint(test.size) || sent.Upstream != "a" {
				t.Fatalf("%v, %v, %s bytes, %+v", res, err, body, sent)
			}
			if got := regions[0].seen.Load().Header.Get("Expect"); got != test.expect {
				t.Errorf("Expect: %q, want %q", got, test.expect)
			}
		})
	}
}

// Over HTTP/2, too, a platform refuses a large body before any of it is sent.
func TestAskingFirstOverHTTP2(t *testing.T) {
	a, b := unstartedRegion(t), unstartedRegion(t)
	for _, r := range []*region{a, b} {
		r.EnableHTTP2 = true
		r.StartTLS()
	}
	a.refusing(50<<10, platforms413["Vercel"])
	b.set(counted)
	p := known(newPool(t, Options{TLS: a.Client().Transport.(*http.Transport).TLSClientConfig, HTTP: HTTP2}, a, b))
	for range 5 {
		res, body, sent, err := sendBody(t, p, 5<<20, true)
		if err != nil || res.StatusCode != 200 || res.ProtoMajor != 2 || body != fmt.Sprint(5<<20) ||
			sent.Upstream != "b" {
			t.Fatalf("%v, %v, %s bytes, %+v", res, err, body, sent)
		}
	}
	if st := p.Status()[0]; st.State != "up" || st.LastError != "" {
		t.Errorf("the first region: %+v", st)
	}
}

// A front that knows no expectations gets the request without one.
func TestExpectationFailed(t *testing.T) {
	a, b := newRegion(t), newRegion(t)
	a.set(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Expect") != "" {
			w.WriteHeader(http.StatusExpectationFailed)
			return
		}
		counted(w, req)
	})
	p := newPool(t, Options{}, a, b)
	res, body, sent, err := sendBody(t, p, 2<<20, true)
	if err != nil || res.StatusCode != 200 || body != fmt.Sprint(2<<20) || sent.Upstream != "a" || sent.Attempts != 1 {
		t.Errorf("%v, %v, %s bytes, %+v", res, err, body, sent)
	}
	// The client's own expectation is the client's business.
	if res, _, _, err := sendBody(t, p, 2<<20, true, "Expect", "100-continue"); err != nil || res.StatusCode != 417 {
		t.Errorf("%v, %v", res, err)
	}
}

// What is known of sizes grows old: a relay may have been deployed anew.
func TestSizesGrowOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s sizes
		s.set(1000)
		s.refuse(2 << 20)
		s.refuse(3 << 20)
		s.refuse(10) // says nothing
		if s.fit(1001) != tooLarge || s.fit(1000) != mayFit || s.fit(-1) != mayFit || s.max() != 1000 {
			t.Error("a limit that is known is not heeded")
		}
		s.set(1 << 30)
		if s.fit(2<<20) != mayNot || s.fit(2<<20-1) != mayFit || s.max() != 2<<20-1 {
			t.Error("a refusal is not heeded")
		}
		s.accept(2<<20 - 1)
		s.accept(100)
		if s.fit(2<<20-1) != fits || s.fit(2<<20) != mayNot {
			t.Error("what was taken is not heeded")
		}
		if s.refuse(1<<20 + 1); s.fit(1<<20+1) != mayNot || s.accepted.bytes != 0 {
			t.Error("a later refusal is not heeded")
		}
		time.Sleep(sizesKnown)
		if s.fit(2<<30) != mayFit || s.max() != 0 {
			t.Error("old knowledge is heeded")
		}
	})
}
