package upstream_test

import (
	"net"
	"testing"
	"time"

	"example.com/relay/bench/upstream"
	"example.com/relay/internal/load"
)

func startUpstream(t *testing.T) *upstream.Upstream {
	t.Helper()
	up, err := upstream.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(up.Close)
	return up
}

func TestClientDoesEveryCall(t *testing.T) {
	up := startUpstream(t)
	c := load.NewClient(up.Addr(), 10*time.Second, nil)
	defer c.Close()
	for _, call := range []upstream.Call{upstream.Chat, upstream.Events, upstream.Embeddings, upstream.Download,
		upstream.Upload, upstream.Chat} {
		if err := c.Do(call.Request(up.Addr())); err != nil {
			t.Errorf("Do(%s %s) = %v", call.Method, call.Target, err)
		}
	}
	n, err := upstream.Connections("http://" + up.Addr())
	if n != 2 || err != nil {
		t.Errorf("Connections() = %d, %v, want 2: the client's and its own", n, err)
	}
	if err := c.Do(upstream.Call{Method: "GET", Target: "/none"}.Request(up.Addr())); err == nil {
		t.Error("Do() took 404 for a response")
	}
}

func TestLoadCountsAnswers(t *testing.T) {
	up := startUpstream(t)
	res := load.Load{Addr: up.Addr(), Request: upstream.Chat.Request(up.Addr()), Clients: 3,
		For: 50 * time.Millisecond}.Run(t.Context())
	if res.Requests < 3 || res.Failures > 0 || res.Latency.Count() != res.Requests {
		t.Errorf("%d requests, %d latencies, %d failures (%v)", res.Requests, res.Latency.Count(), res.Failures,
			res.Failure)
	}
	if p50, p99 := res.Latency.Quantile(0.5), res.Latency.Quantile(0.99); p50 <= 0 || p99 < p50 {
		t.Errorf("p50 = %v, p99 = %v", p50, p99)
	}
}

func TestLoadReadsEvents(t *testing.T) {
	up := startUpstream(t)
	res := load.Load{Addr: up.Addr(), Request: upstream.Events.Request(up.Addr()), Clients: 2,
		For: 50 * time.Millisecond, Events: true}.Run(t.Context())
	if res.Requests < 2 || res.Failures > 0 {
		t.Fatalf("%d requests, %d failures (%v)", res.Requests, res.Failures, res.Failure)
	}
	if want := res.Requests * upstream.EventCount; res.Lag.Count() != want || res.First.Count() != res.Requests {
		t.Errorf("%d events and %d first ones of %d streams, want %d", res.Lag.Count(), res.First.Count(), res.Requests,
			want)
	}
}

func TestLoadReportsFailures(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	res := load.Load{Addr: ln.Addr().String(), Clients: 1, For: 20 * time.Millisecond}.Run(t.Context())
	if res.Requests > 0 || res.Failures == 0 || res.Failure == nil {
		t.Errorf("%d requests, %d failures (%v) of a server that is not there", res.Requests, res.Failures, res.Failure)
	}
}
