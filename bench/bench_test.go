package main

import (
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/relay/bench/upstream"
	"example.com/relay/core"
	"example.com/relay/internal/load"
)

// patience bounds what a client waits for, whatever goes wrong.
const patience = 10 * time.Minute

func BenchmarkChat(b *testing.B)       { benchmarkWays(b, upstream.Chat, upstream.ChatSize) }
func BenchmarkEvents(b *testing.B)     { benchmarkWays(b, upstream.Events, 0) }
func BenchmarkEmbeddings(b *testing.B) { benchmarkWays(b, upstream.Embeddings, upstream.EmbedSize) }
func BenchmarkDownload(b *testing.B)   { benchmarkWays(b, upstream.Download, upstream.DownloadSize) }
func BenchmarkUpload(b *testing.B)     { benchmarkWays(b, upstream.Upload, upstream.UploadSize) }

// benchmarkWays measures a call on every way to the upstream. Allocations are
// those of the way, as clients and upstream have next to none.
func benchmarkWays(b *testing.B, call upstream.Call, size int64) {
	up := startUpstream(b)
	for _, way := range []struct {
		name, addr string
		mayFail    float64 // share of requests
	}{
		{"direct", up, 0},
		{"relay", served(b, newRelay(b, up, nil)), 0},
		// Its server may close the request body under its transport when the
		// response begins, which truncates the response.
		{"stock", served(b, newStock(up)), 0.05},
	} {
		b.Run(way.name, func(b *testing.B) {
			b.SetBytes(size)
			benchmarkCall(b, way.addr, call.Request(way.addr), way.mayFail)
		})
	}
}

func benchmarkCall(b *testing.B, addr string, request []byte, mayFail float64) {
	pool := warmClients(b, addr, request)
	b.ReportAllocs()
	b.SetParallelism(max(clients/runtime.GOMAXPROCS(0), 1))
	b.ResetTimer()
	var failed atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		c := pool.Get().(*load.Client)
		defer pool.Put(c)
		for pb.Next() {
			if err := c.Do(request); err != nil {
				if n := failed.Add(1); float64(n) > mayFail*float64(max(b.N, 100)) {
					b.Error(err)
					return
				}
			}
		}
	})
}

// warmClients returns a pool of clients whose connections, and those behind
// them, are open.
func warmClients(b *testing.B, addr string, request []byte) *sync.Pool {
	b.Helper()
	pool := &sync.Pool{New: func() any { return load.NewClient(addr, patience, nil) }}
	var wg sync.WaitGroup
	for range clients {
		c := load.NewClient(addr, patience, nil)
		b.Cleanup(c.Close)
		wg.Go(func() {
			if err := c.Do(request); err != nil {
				b.Error(err)
			}
		})
		pool.Put(c)
	}
	wg.Wait()
	return pool
}

// startUpstream starts an upstream and returns its address.
func startUpstream(tb testing.TB) string {
	tb.Helper()
	up, err := upstream.Start()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(up.Close)
	return up.Addr()
}

// newRelay returns a relay to up. If transport is nil, the relay has its own.
func newRelay(tb testing.TB, up string, transport http.RoundTripper) http.Handler {
	tb.Helper()
	relay, err := core.New(core.Config{
		Upstreams: []core.Secret{core.Secret("http://" + up)},
		Logger:    slog.New(slog.DiscardHandler),
		Transport: transport,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return relay
}

// newStock returns what the standard library has ready, as it comes.
func newStock(up string) http.Handler {
	return httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: up})
}

// served serves h until the test ends, and returns the address.
func served(tb testing.TB, h http.Handler) string {
	tb.Helper()
	server, err := serve(h)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = server.Close() })
	return server.Addr
}
