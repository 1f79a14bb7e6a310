package sdktest

import (
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"example.com/relay/core"
	"example.com/relay/core/failover"
	"example.com/relay/internal/fakeopenai"
	"github.com/openai/openai-go/v3/option"
)

// A region is a relay that can be killed.
type region struct {
	*httptest.Server
	dead atomic.Pointer[http.HandlerFunc] // serves in the relay's place
}

// startRegion serves a relay to u as a region, until the test ends.
func startRegion(t *testing.T, u *fakeopenai.Upstream) *region {
	t.Helper()
	cfg := relayTo(u)
	cfg.Logger = slog.New(slog.DiscardHandler)
	relay, err := core.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := new(region)
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if dead := r.dead.Load(); dead != nil {
			(*dead)(w, req)
			return
		}
		relay.ServeHTTP(w, req)
	}))
	r.Config.ErrorLog = log.New(io.Discard, "", 0)
	r.Start()
	t.Cleanup(func() {
		r.CloseClientConnections()
		r.Close()
	})
	return r
}

// kills are the ways in which a region can fail.
var kills = map[string]func(*region){
	"refuse": func(r *region) {
		r.Listener.Close()
		r.CloseClientConnections()
	},
	"platform 503": func(r *region) {
		r.die(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "<h1>Service Unavailable</h1>", http.StatusServiceUnavailable)
		})
	},
	"reset": func(r *region) {
		r.die(func(w http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			_ = conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		})
	},
}

// die cuts the requests under way, and serves h from then on.
func (r *region) die(h http.HandlerFunc) {
	r.dead.Store(&h)
	r.CloseClientConnections()
}

// TestKilledRegion has a region that fails while a program makes calls. Through a
// gateway all calls without streams succeed, with the retries that the SDK makes by
// itself; streams are complete or raise an error. A pool forwards responses as they
// arrive, so one that has begun may be cut.
func TestKilledRegion(t *testing.T) {
	routes := map[string]func(t *testing.T, u *fakeopenai.Upstream, urls []string) *api{
		"through a gateway": func(t *testing.T, u *fakeopenai.Upstream, urls []string) *api {
			var cfg core.Config
			for _, url := range urls {
				cfg.Upstreams = append(cfg.Upstreams, core.Secret(url))
			}
			return newAPI(u, startRelay(t, cfg).url)
		},
		"by a pool": func(t *testing.T, u *fakeopenai.Upstream, urls []string) *api {
			pool, err := failover.New(urls, failover.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(pool.Close)
			return newAPI(u, "https://api.openai.com", option.WithHTTPClient(&http.Client{Transport: pool}))
		},
	}
	for route, connect := range routes {
		for how, kill := range kills {
			t.Run(route+", "+how, func(t *testing.T) {
				t.Parallel()
				u := fakeopenai.StartUpstream(t)
				regions := []*region{startRegion(t, u), startRegion(t, u), startRegion(t, u)}
				a := connect(t, u, []string{regions[0].URL + "#a", regions[1].URL + "#b", regions[2].URL + "#c"})
				var killed sync.Once
				var calls, cut atomic.Int64
				var wait sync.WaitGroup
				for worker := range 6 {
					wait.Go(func() {
						for i := range 20 {
							if calls.Add(1) == 40 {
								// The others have calls and streams under way.
								killed.Do(func() { kill(regions[0]) })
							}
							if (worker+i)%2 == 1 {
								if !a.wantWholeOrCut(t) {
									cut.Add(1)
								}
							} else if err := a.wantChat(t); errors.Is(err, io.ErrUnexpectedEOF) &&
								route == "by a pool" {
								cut.Add(1)
							} else if err != nil {
								t.Errorf("a call failed: %v", err)
							}
						}
					})
				}
				wait.Wait()
				if n := cut.Load(); n > 6 {
					t.Errorf("%d responses were cut, want no more than one for each worker", n)
				}
			})
		}
	}
}

// wantChat returns the error of a chat, and fails the test if its response is wrong.
func (a *api) wantChat(t *testing.T) error {
	t.Helper()
	res, err := a.Chat.Completions.New(t.Context(), chatParams(), option.WithHeader("Fake-Fault", "delay=2ms"))
	if err != nil {
		return err
	}
	if got, want := res.Choices[0].Message.Content, fakeopenai.Reply(prompt); got != want {
		t.Errorf("content = %q, want %q", got, want)
	}
	return nil
}

// wantWholeOrCut reports whether a streamed chat was whole, and fails the test if
// one that was not raised no error.
func (a *api) wantWholeOrCut(t *testing.T) bool {
	t.Helper()
	s := a.streamChat(t.Context(), chatParams(), option.WithHeader("Fake-Fault", "gap=1ms"))
	if s.err == nil && s.content != fakeopenai.Reply(prompt) {
		t.Errorf("a stream ended without an error, and its content is %q", s.content)
	}
	return s.err == nil
}
