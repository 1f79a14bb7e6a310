package load

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"example.com/relay/internal/proc"
)

// request is what clients send here.
var request = []byte("POST /v1/chat/completions HTTP/1.1\r\nHost: upstream\r\nContent-Length: 2\r\n\r\n{}")

func TestSteadySendsAtItsRate(t *testing.T) {
	got := Steady{Addr: serveResponses(t, func() {}), Request: request, Rate: 200,
		For: 500 * time.Millisecond}.Run(t.Context())
	if got.Requests != 100 || got.Failures != 0 || got.Latency.Count() != 100 || got.Late.Count() != 100 {
		t.Errorf("Run() = %d requests, %d failures (%v), want 100 and 0", got.Requests, got.Failures, got.Failure)
	}
	if got.Elapsed < 495*time.Millisecond {
		t.Errorf("Run() took %v, want at least the time at which the last request was due", got.Elapsed)
	}
}

// A server that stalls must not delay later requests, and the time that they wait
// counts.
func TestSteadyOmitsNothing(t *testing.T) {
	const stall = 300 * time.Millisecond
	began := time.Now()
	addr := serveResponses(t, func() { time.Sleep(time.Until(began.Add(stall))) })
	got := Steady{Addr: addr, Request: request, Rate: 100, For: 400 * time.Millisecond}.Run(t.Context())
	if got.Requests != 40 {
		t.Fatalf("Run() = %d requests, %d failures (%v), want 40 and 0", got.Requests, got.Failures, got.Failure)
	}
	// Of 40 requests, 30 are due in the stall, 10 ms apart: the middle of all
	// waits about 100 ms. A closed loop would say that one request was slow.
	if p50 := got.Latency.Quantile(0.5); p50 < 50*time.Millisecond {
		t.Errorf("the median of latencies is %v, want the time that requests waited in it", p50)
	}
}

func TestSteadyCountsFailures(t *testing.T) {
	got := Steady{Addr: proc.RefusingAddr(t), Request: []byte("x"), Rate: 100,
		For: 50 * time.Millisecond}.Run(t.Context())
	if got.Failures != 5 || got.Failure == nil || got.Requests != 0 {
		t.Errorf("Run() = %d failures, %v, want 5", got.Failures, got.Failure)
	}
}

func TestEventsThatComeTogetherAreCounted(t *testing.T) {
	const event = "data: {\"sent\":1700000000000000000}\n\n"
	addr := serveRaw(t, func(conn net.Conn) {
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 144\r\n\r\n"+event)
		time.Sleep(50 * time.Millisecond)
		io.WriteString(conn, event+event)
		time.Sleep(50 * time.Millisecond)
		io.WriteString(conn, event)
	})
	if n := 4 * len(event); n != 144 {
		t.Fatalf("the events have %d bytes", n)
	}
	lag, together, err := Stream(t.Context(), addr, request, 4, 10*time.Second)
	if err != nil || together != 1 || lag.Count() != 4 {
		t.Errorf("Stream() = %d events, %d together, %v; want 4, 1, nil", lag.Count(), together, err)
	}
	if _, _, err := Stream(t.Context(), addr, request, 5, 10*time.Second); err == nil {
		t.Error("Stream() of a stream that lacks an event = nil, want an error")
	}
}

// serveResponses serves requests with a short response, each after before has
// returned, and returns the address.
func serveResponses(t *testing.T, before func()) string {
	t.Helper()
	return serveRaw(t, func(conn net.Conn) {
		for r := bufio.NewReader(conn); ; {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			io.Copy(io.Discard, req.Body)
			before()
			if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
				return
			}
		}
	})
}

// serveRaw serves each connection with serve, and returns the address.
func serveRaw(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); serve(conn) }()
		}
	}()
	return ln.Addr().String()
}
