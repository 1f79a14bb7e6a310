package main

import (
	"net/http"
	"runtime"
	"testing"
	"time"
)

// streams are open at a time, which is the relay's own limit of requests.
const streams = 1000

// BenchmarkIdleStream measures what a relay holds for a stream on which nothing
// happens, as models think: live heap and stacks in use after garbage
// collections (runtime.MemStats). What clients and upstream hold is taken off.
// B/stream-beyond-net/http is what the relay holds on top of a handler that
// does the least net/http can be used for.
func BenchmarkIdleStream(b *testing.B) {
	up := startUpstream(b)
	transport := &http.Transport{MaxIdleConnsPerHost: streams, DisableCompression: true}
	defer transport.CloseIdleConnections()
	relay, least := served(b, newRelay(b, up, transport)), served(b, leastHandler(up, transport))
	for _, addr := range []string{up, relay, least} {
		perStream(b, addr) // what is made once and kept
	}
	rounds := min(b.N, 3) // many, as -benchtime 100x would ask for, tell no more
	var ofRelay, beyond float64
	for range rounds {
		ends, all, bare := perStream(b, up), perStream(b, relay), perStream(b, least)
		ofRelay += all - ends
		beyond += all - bare
	}
	b.ReportMetric(ofRelay/float64(rounds), "B/stream")
	b.ReportMetric(beyond/float64(rounds), "B/stream-beyond-net/http")
	b.ReportMetric(0, "ns/op") // which would say nothing
}

// leastHandler hands an event stream on with as little as it takes.
func leastHandler(up string, transport http.RoundTripper) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		out := req.Clone(req.Context())
		out.URL.Scheme, out.URL.Host, out.RequestURI = "http", up, ""
		res, err := transport.RoundTrip(out)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		w.Header().Set("Content-Type", res.Header.Get("Content-Type"))
		rc := http.NewResponseController(w)
		var buf [512]byte
		for err == nil {
			var n int
			n, err = res.Body.Read(buf[:])
			_, _ = w.Write(buf[:n])
			_ = rc.Flush()
		}
	})
}

// perStream returns the bytes that an idle stream by way of addr holds, those
// of its two ends included.
func perStream(b *testing.B, addr string) float64 {
	b.Helper()
	before := held()
	open, err := openStreams(addr, streams)
	during := held()
	for _, c := range open {
		c.Close()
	}
	if err != nil {
		b.Error(err)
	}
	settle(before)
	return float64(during-before) / streams
}

// held returns the live heap and the stacks in use. Stacks shrink and pools
// empty in two steps.
func held() int64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// settle waits, within limits, until what streams held is free again.
func settle(before int64) {
	for range 100 {
		if held() < before+before/20 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
