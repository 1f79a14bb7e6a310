package regions

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"example.com/relay/internal/fakeopenai"
	"example.com/relay/internal/load"
	"example.com/relay/internal/proc"
)

func TestMain(m *testing.M) { os.Exit(proc.Main(m, Program)) }

// postChat posts a chat and returns the response and its body.
func postChat(t *testing.T, client *http.Client, base string) (*http.Response, string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/chat/completions",
		strings.NewReader(`{"messages":[{"role":"user","content":"abcdefgh"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sk-x")
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, string(body), err
}

func TestFleet(t *testing.T) {
	for _, opts := range []Options{{}, {TLS: true}, {TLS: true, HTTP1: true}} {
		t.Run(fmt.Sprintf("TLS=%v, HTTP1=%v", opts.TLS, opts.HTTP1), func(t *testing.T) {
			opts.Env = []string{"RELAY_ACCESS_TOKENS=0123456789abcdef0123"}
			f := StartTest(t, opts)
			transport := &http.Transport{ForceAttemptHTTP2: true}
			if opts.TLS {
				transport.TLSClientConfig = &tls.Config{RootCAs: f.Authority().Pool()}
			}
			t.Cleanup(transport.CloseIdleConnections)
			client := &http.Client{Transport: transport}
			for i, r := range f.Regions {
				res, body, err := postChat(t, client, r.Front.URL())
				if err != nil || res.StatusCode != http.StatusUnauthorized ||
					!strings.HasPrefix(res.Header.Get("X-Relay"), r.Name+";") {
					t.Errorf("region %d without its token = %v, %q, %v", i, res, body, err)
				}
			}
			if got := f.Upstream.Arrived(); got != 0 {
				t.Errorf("the upstream had %d requests", got)
			}
		})
	}
}

func TestRegionIsKilledAndComesBack(t *testing.T) {
	f := StartTest(t, Options{Regions: 1})
	region, client := f.Regions[0], &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	mustServe := func() {
		t.Helper()
		if res, body, err := postChat(t, client, region.Front.URL()); err != nil || res.StatusCode != 200 ||
			!strings.Contains(body, "hgfedcba") {
			t.Fatalf("postChat() = %v, %q, %v", res, body, err)
		}
	}
	for _, end := range []func() error{region.Kill, region.Stop, region.Kill} {
		mustServe()
		url, process := region.Front.URL(), region.process
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if _, err := process.Usage(); err == nil {
			t.Error("the process is still there")
		}
		if _, body, err := postChat(t, client, url); err == nil {
			t.Errorf("the region responds %q without a process", body)
		}
		if err := region.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if region.Front.URL() != url {
			t.Errorf("the region came back at %s, was at %s", region.Front.URL(), url)
		}
	}
	mustServe()
	if got := f.Upstream.Arrived(); got != 4 {
		t.Errorf("the upstream had %d requests, want 4", got)
	}
}

func TestGatewayReachesRegionsOverHTTPS(t *testing.T) {
	// A single region: any relay can have one.
	f := StartTest(t, Options{Regions: 1, TLS: true})
	var log bytes.Buffer
	g := f.GatewayTest(t, proc.Options{Env: []string{"RELAY_LOG_LEVEL=info"}, Log: &log})
	res, body, err := postChat(t, http.DefaultClient, g.Base)
	if err != nil || res.StatusCode != 200 || !strings.Contains(body, "hgfedcba") {
		t.Errorf("postChat() = %v, %q, %v", res, body, err)
	}
	if _, err := g.Usage(); err != nil {
		t.Error(err)
	}
	g.Stop()
	if !strings.Contains(log.String(), `"status":200`) {
		t.Errorf("the log is %q", log.String())
	}
}

func TestFleetThatCannotStart(t *testing.T) {
	for _, opts := range []Options{{Relay: "/no/such/program"},
		{Relay: Program.Path(t), Env: []string{"RELAY_NO_SUCH=1"}}} {
		if f, err := Start(t.Context(), opts); err == nil {
			f.Close()
			t.Errorf("Start(%+v) = no error", opts)
		}
	}
}

func TestFleetWithoutFaultLosesNothing(t *testing.T) {
	f := StartTest(t, Options{Regions: 1})
	responses := load.Open{
		Base: f.Regions[0].Front.URL(), Rate: 200, For: 2 * time.Second,
		// responses in one piece overtake the end of their requests
		Reply: fakeopenai.Reply, Streamed: "events=6 gap=5ms",
	}.Run(t.Context(), time.Now())
	for _, a := range responses {
		if a.Outcome != load.Complete {
			t.Errorf("%+v", a)
		}
	}
	if got := f.Upstream.Arrived(); got != len(responses) {
		t.Errorf("the upstream had %d requests, want %d", got, len(responses))
	}
	if served := f.Regions[0].Front.Served(); len(served) != len(responses) || served[0].ID != responses[0].ID {
		t.Errorf("the front served %d requests, want %d", len(served), len(responses))
	}
}
