package cloudflare

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/relay/internal/workerd"
)

const event = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word\"}}]}\n\n"

// begin begins an event stream.
func begin(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	flush(w)
}

// Each event reaches the client while the upstream waits for the client to have
// it, and the header before the first: natively and chunk by chunk, on old dates
// and new ones.
func TestEventsInLockstep(t *testing.T) {
	for _, rt := range runtimes {
		for _, keepalive := range []string{"off", "60s"} {
			t.Run(rt.name+", keepalive "+keepalive, func(t *testing.T) {
				next := make(chan bool)
				upstream := startUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
					begin(w)
					for i := 0; <-next; i++ {
						fmt.Fprintf(w, "data: %d\n\n", i)
						flush(w)
					}
				})
				f := &front{Tested: serve(t, rt.module, rt.date, "RELAY_UPSTREAMS="+upstream.URL,
					"RELAY_KEEPALIVE="+keepalive)}
				res := f.send(t, "POST", "/v1/chat/completions", strings.NewReader("{}"))
				for i := range 200 {
					next <- true
					want := fmt.Sprintf("data: %d\n\n", i)
					got := make([]byte, len(want))
					if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != want {
						t.Fatalf("event %d: %q, %v", i, got, err)
					}
				}
				close(next)
				if rest, err := io.ReadAll(res.Body); len(rest) > 0 || err != nil {
					t.Errorf("after the last event: %q, %v", rest, err)
				}
			})
		}
	}
}

// A stream that is cut ends in the error event and a broken connection, every
// time: natively and chunk by chunk, on old dates and new ones.
func TestCuts(t *testing.T) {
	const cuts = 60
	for _, rt := range runtimes {
		for _, keepalive := range []string{"off", "60s"} {
			t.Run(rt.name+", keepalive "+keepalive, func(t *testing.T) {
				t.Parallel()
				upstream := startUpstream(t, func(w http.ResponseWriter, req *http.Request) {
					_, _ = io.Copy(io.Discard, req.Body) // see TestCutsOfSlowReaders
					begin(w)
					_, _ = io.WriteString(w, event+event+event[:20])
					flush(w)
					abort()
				})
				f := &front{Tested: serve(t, rt.module, rt.date, "RELAY_UPSTREAMS="+upstream.URL,
					"RELAY_KEEPALIVE="+keepalive)}
				var all sync.WaitGroup
				for i := range cuts {
					res := f.send(t, "POST", "/v1/chat/completions", strings.NewReader("{}"))
					all.Go(func() {
						body, err := io.ReadAll(res.Body)
						wantCut(t, fmt.Sprint("cut ", i+1), body, err, event+event+event[:20])
					})
				}
				all.Wait()
			})
		}
	}
}

// wantCut fails t unless what a client got is what was sent, the error event, and
// a broken connection.
func wantCut(t *testing.T, name string, body []byte, err error, sent string) {
	t.Helper()
	rest, ok := bytes.CutPrefix(body, []byte(sent))
	switch {
	case err == nil:
		t.Errorf("%s: the stream ends cleanly", name)
	case !ok:
		t.Errorf("%s: %d bytes, which are not the %d that were sent, and the error event: %t", name, len(body),
			len(sent), bytes.Contains(body, []byte("upstream_interrupted")))
	case !strings.HasPrefix(string(rest), "\n\ndata: {\"error\":{") ||
		!strings.Contains(string(rest), `"code":"upstream_interrupted"`):
		t.Errorf("%s: no error event, but %q", name, rest)
	case strings.Contains(string(rest), "[DONE]"):
		t.Errorf("%s: says [DONE]", name)
	}
}

// A client that is slow to take 9 MB has all of it and the error event, although
// the upstream is gone long before.
func TestCutsOfSlowReaders(t *testing.T) {
	const readers = 20
	big := strings.Repeat(event, 9<<20/len(event))
	upstream := startUpstream(t, func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body) // unread, it would make the end a reset, which discards what is on its way
		begin(w)
		_, _ = io.WriteString(w, big)
		flush(w)
		abort()
	})
	for _, rt := range []runtime{runtimes[0], runtimes[3]} { // both dates, both names: it takes its time
		t.Run(rt.name, func(t *testing.T) {
			f := &front{Tested: serve(t, rt.module, rt.date, "RELAY_UPSTREAMS="+upstream.URL)}
			var all sync.WaitGroup
			for i := range readers {
				res := f.send(t, "POST", "/v1/chat/completions", strings.NewReader("{}"))
				all.Go(func() {
					body, err := io.ReadAll(&slowReader{res.Body, time.Now().Add(300 * time.Millisecond)})
					wantCut(t, fmt.Sprint("slow reader ", i+1), body, err, big)
				})
			}
			all.Wait()
		})
	}
}

// A slowReader reads nothing for a while, and then at 10 MB a second.
type slowReader struct {
	io.Reader
	next time.Time // when it reads again
}

func (r *slowReader) Read(p []byte) (int, error) {
	time.Sleep(time.Until(r.next)) // this is what is tested
	n, err := r.Reader.Read(p)
	r.next = r.next.Add(time.Duration(n) * time.Second / 10e6)
	return n, err
}

// In the API of responses the error event is that API's own, too.
func TestCutResponses(t *testing.T) {
	f := newFront(t, func(w http.ResponseWriter, _ *http.Request) {
		begin(w)
		abort()
	})
	body, err := io.ReadAll(f.send(t, "POST", "/v1/responses", strings.NewReader("{}")).Body)
	want := "\n\ndata: {\"type\":\"error\",\"sequence_number\":0,\"code\":\"upstream_interrupted\",\"message\":"
	if err == nil || !strings.HasPrefix(string(body), want) {
		t.Errorf("%q, %v; want %q and a broken connection", body, err, want)
	}
}

// Of a client that resets its connection the upstream learns within half a second:
// before the header, and in a stream that is silent.
func TestClientGone(t *testing.T) {
	for _, rt := range runtimes {
		for _, keepalive := range []string{"off", "60s"} {
			t.Run(rt.name+", keepalive "+keepalive, func(t *testing.T) {
				t.Parallel()
				arrived, gone := make(chan bool), make(chan time.Time)
				upstream := startUpstream(t, func(w http.ResponseWriter, req *http.Request) {
					_, _ = io.Copy(io.Discard, req.Body)
					if req.URL.Path == "/v1/responses" {
						begin(w)
						_, _ = io.WriteString(w, event)
						flush(w)
					}
					arrived <- true
					<-req.Context().Done()
					gone <- time.Now()
				})
				f := &front{Tested: serve(t, rt.module, rt.date, "RELAY_UPSTREAMS="+upstream.URL,
					"RELAY_KEEPALIVE="+keepalive)}
				for _, path := range []string{"/v1/chat/completions", "/v1/responses"} {
					ctx, cancel := context.WithCancel(t.Context())
					req, _ := http.NewRequestWithContext(ctx, "POST", f.URL+path, strings.NewReader("{}"))
					done := make(chan bool)
					go func() {
						defer close(done)
						if res, err := resetting.RoundTrip(req); err == nil {
							_, _ = io.Copy(io.Discard, res.Body)
							res.Body.Close()
						}
					}()
					<-arrived
					left := time.Now()
					cancel()
					if took := (<-gone).Sub(left); took > 500*time.Millisecond {
						t.Errorf("%s: the upstream was cancelled after %v", path, took)
					}
					<-done
				}
			})
		}
	}
}

// What silence and time call for.
func TestLimitsOfStreams(t *testing.T) {
	silent := func(w http.ResponseWriter, req *http.Request) {
		begin(w)
		_, _ = io.WriteString(w, event)
		flush(w)
		<-req.Context().Done()
	}
	tests := []struct{ setting, code, body string }{
		{"RELAY_IDLE_TIMEOUT=300ms", "upstream_idle_timeout", event + "data: {"},
		{"RELAY_MAX_STREAM_TIME=300ms", "stream_limit", event + "\n\ndata: {"},
	}
	for _, test := range tests {
		t.Run(test.setting, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, silent, test.setting)
			body, err := io.ReadAll(f.send(t, "POST", "/v1/chat/completions", strings.NewReader("{}")).Body)
			if err == nil || !strings.HasPrefix(string(body), test.body) ||
				!strings.Contains(string(body), `"code":"`+test.code+`"`) {
				t.Errorf("%q, %v", body, err)
			}
		})
	}
	t.Run("RELAY_KEEPALIVE=1s", func(t *testing.T) {
		t.Parallel()
		f := newFront(t, silent, "RELAY_KEEPALIVE=1s")
		res := f.send(t, "POST", "/v1/chat/completions", strings.NewReader("{}"))
		want := event + ": keepalive\n: keepalive\n"
		got := make([]byte, len(want))
		if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	})
	t.Run("a client's timeout", func(t *testing.T) {
		t.Parallel()
		f := newFront(t, func(_ http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
			<-req.Context().Done()
		})
		for _, name := range []string{"X-Stainless-Timeout", "X-Stainless-Read-Timeout"} {
			res, body := f.complete(t, "POST", "/v1/chat/completions", strings.NewReader("{}"), name, "1")
			wantError(t, res, body, 504, "client_timeout")
		}
	})
}

// The time between reads begins when the client has sent its body.
func TestReadTimeoutOfAnUpload(t *testing.T) {
	for _, upstreams := range []string{"", ",http://127.0.0.1:1"} {
		upstream := startUpstream(t, func(w http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(w, req.Body)
		})
		f := &front{Tested: serve(t, "worker.js", workerd.DefaultDate, "RELAY_UPSTREAMS="+upstream.URL+upstreams)}
		r, w := io.Pipe()
		go func() {
			for range 3 {
				_, _ = io.WriteString(w, "piece")
				time.Sleep(600 * time.Millisecond) // this is what is tested
			}
			w.Close()
		}()
		req, err := http.NewRequestWithContext(t.Context(), "POST", f.URL+"/v1/files", r)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = int64(3 * len("piece"))
		req.Header.Set("X-Stainless-Read-Timeout", "1")
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 200 || string(body) != "piecepiecepiece" || err != nil {
			t.Errorf("upstreams %q: %d %q, %v", upstreams, res.StatusCode, body, err)
		}
	}
}

// The probe that tells whether anything buffers.
func TestStreamProbe(t *testing.T) {
	f := newFront(t, nil)
	_, body := f.complete(t, "GET", "/relay/health?stream=1", nil)
	if n := strings.Count(body, "data: {\"event\":"); n != 5 || !strings.HasSuffix(body, "data: [DONE]\n\n") {
		t.Errorf("%q", body)
	}
}
