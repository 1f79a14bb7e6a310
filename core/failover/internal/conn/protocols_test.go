package conn

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Those who wait for the connect of another request do not fail with that request, but
// with the connect.
func TestSharedConnect(t *testing.T) {
	hello, proceed := make(chan bool), make(chan error)
	server := httptest.NewUnstartedServer(nil)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		hello <- true
		return nil, <-proceed
	}}
	server.StartTLS()
	defer server.Close()
	s := setOf(t, server)

	type result struct {
		c   *Conn
		err error
	}
	results := make(chan result)
	connect := func(ctx context.Context) {
		c, err := s.Connect(ctx, false)
		results <- result{c, err}
	}
	waiting := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.protocols.pending) != 1 {
			return 0
		}
		return s.protocols.pending[0].requests
	}
	await := func(n int) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); waiting() != n; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d requests wait for one connect, want %d", waiting(), n)
			}
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	go connect(ctx)
	<-hello
	for range 5 {
		go connect(t.Context())
	}
	await(6)
	cancel()
	if r := <-results; !errors.Is(r.err, context.Canceled) {
		t.Errorf("the first request: %v", r.err)
	}
	proceed <- nil
	<-hello // of one of the others, for all
	await(5)
	proceed <- nil
	first := <-results
	for range 4 {
		if r := <-results; r.err != nil || r.c != first.c {
			t.Errorf("got %p, %v, not one connection for all", r.c, r.err)
		}
	}
	if n := first.c.client.InFlight(); n != 5 {
		t.Errorf("reserved for %d requests, want 5", n)
	}

	s.RetireAll()
	for range 3 {
		go connect(t.Context())
	}
	<-hello
	await(3)
	proceed <- errors.New("no")
	for range 3 {
		if r := <-results; r.err == nil {
			t.Error("a connect that failed gave a connection")
		}
	}
}

// What closed a connection that offered HTTP/1.1 alone may have been the network, so that
// is tried again after a while, but not if the upstream refused it in so many words.
func TestHTTP1AfterAFailure(t *testing.T) {
	for _, refused := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := &Set{protocols: protocols{maxBusy: maxBusy}}
			connect := func() *Conn {
				c := &Conn{set: s, http2: true, refused1: refused}
				s.begin(c, false)
				return c
			}
			if c := connect(); !c.offers1 {
				t.Fatal("HTTP/1.1 does not come first")
			} else {
				c.offers1 = false // since that failed
				s.end(c, nil)
			}
			if c := connect(); c.offers1 {
				t.Error("HTTP/1.1 is tried again at once")
			}
			time.Sleep(closedPause + time.Second)
			if c := connect(); c.offers1 == refused {
				t.Errorf("refused %t: later, HTTP/1.1 is offered alone: %t", refused, c.offers1)
			}
		})
	}
}

// A connection of HTTP/2 is closed as idle only if no request has it, and a request that
// finds it full leaves it to those that have it.
func TestSharedConnectionInUse(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.EnableHTTP2 = true
	server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 1}
	server.StartTLS()
	defer server.Close()
	s := setOf(t, server)
	c, err := s.ConnectNew(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	for c.client.Available() > 1 { // until the server's limit is known
		time.Sleep(time.Millisecond)
	}
	for c.client.Reserve() == nil {
	}
	full := &Conn{set: s, client: pretending{c.client, new(atomic.Bool)}, http2: true, generation: s.generation}
	s.shared = []*Conn{full}
	if other := s.Take(false); other != nil {
		t.Error("a connection that is full is taken")
	}
	c.client.CloseIdle()
	if err := c.client.Err(); err != nil {
		t.Fatalf("a connection that requests have is closed: %v", err)
	}
	for c.client.InFlight() > 0 {
		c.Release()
	}
	c.client.CloseIdle()
	if c.client.Err() == nil || c.client.Reserve() == nil {
		t.Error("an idle connection is not closed")
	}
}

// pretending looks as if it had room, once.
type pretending struct {
	client
	done *atomic.Bool
}

func (p pretending) Available() int {
	if p.done.Swap(true) {
		return 0
	}
	return 1
}

// setOf returns the connections to a server by HTTP/2.
func setOf(t *testing.T, server *httptest.Server) *Set {
	t.Helper()
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return NewSet(Options{Base: base, TLS: trusting(server), HTTP2: true})
}
