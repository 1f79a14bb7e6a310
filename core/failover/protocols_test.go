package failover

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A counting upstream speaks TLS and counts the connections it accepts, and the requests
// that come over each version of HTTP. A response is a stream of two events, of which
// the second is sent when all requests of a burst have come.
type counting struct {
	*httptest.Server
	conns atomic.Int32

	mu       sync.Mutex
	requests map[string]int    // by protocol
	over1    map[net.Conn]bool // connections of HTTP/1.1
	waiting  int               // requests of the burst that are still to come
	all      chan struct{}     // closed when they have come, or one has failed
	proceed  func()            // closes it
}

const twoEvents = "data: {}\n\ndata: [DONE]\n\n"

type connKey struct{}

// newCounting returns an upstream that speaks these protocols.
func newCounting(t *testing.T, protos ...string) *counting {
	t.Helper()
	u := &counting{over1: make(map[net.Conn]bool)}
	u.Server = httptest.NewUnstartedServer(u)
	u.TLS = &tls.Config{NextProtos: protos}
	u.Config.ErrorLog = log.New(io.Discard, "", 0)
	u.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			u.conns.Add(1)
		}
	}
	u.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, c)
	}
	u.EnableHTTP2 = protos[0] == "h2"
	return u
}

func (u *counting) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	u.mu.Lock()
	all := u.all
	u.requests[req.Proto]++
	if req.ProtoMajor == 1 {
		u.over1[req.Context().Value(connKey{}).(net.Conn)] = true
	}
	if u.waiting--; u.waiting == 0 {
		u.proceed()
	}
	u.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	first, second, _ := strings.Cut(twoEvents, "\n\n")
	_, _ = io.WriteString(w, first+"\n\n")
	_ = http.NewResponseController(w).Flush()
	<-all
	_, _ = io.WriteString(w, second)
}

// burst sends n requests, all of which are in flight at once, and returns how many came
// over HTTP/1.1 and over HTTP/2, and how many connections that took.
func (u *counting) burst(t *testing.T, p *Pool, n int) (over1, over2, conns int) {
	t.Helper()
	u.mu.Lock()
	u.requests, u.waiting, u.all = make(map[string]int), n, make(chan struct{})
	proceed := sync.OnceFunc(func() { close(u.all) })
	u.proceed = proceed
	u.mu.Unlock()
	before := u.conns.Load()
	var wait sync.WaitGroup
	for range n {
		wait.Go(func() {
			if status, body, _, err := post(t, p, "{}"); status != 200 || body != twoEvents || err != nil {
				t.Errorf("%d %q %v", status, body, err)
				proceed()
			}
		})
	}
	wait.Wait()
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.requests["HTTP/1.1"], u.requests["HTTP/2.0"], int(u.conns.Load() - before)
}

// closeHTTP1 closes all connections of HTTP/1.1, which must be idle.
func (u *counting) closeHTTP1() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for c := range u.over1 {
		c.Close()
		delete(u.over1, c)
	}
}

// The first 32 of the requests in flight use HTTP/1.1, each a connection. Those beyond
// share one of HTTP/2, even if they come before there is one.
func TestProtocolsOfABurst(t *testing.T) {
	both, only1 := []string{"h2", "http/1.1"}, []string{"http/1.1"}
	for _, test := range []struct {
		version             HTTPVersion
		protos              []string
		n                   int
		over1, over2, conns int
	}{
		{"", both, 1, 1, 0, 1},
		{"", both, 32, 32, 0, 32},
		{"", both, 33, 32, 1, 33},
		{HTTPAuto, both, 82, 32, 50, 33},
		{HTTPAuto, only1, 82, 82, 0, 82},
		{HTTP1, both, 1, 1, 0, 1},
		{HTTP1, both, 82, 82, 0, 82},
		{HTTP2, both, 1, 0, 1, 1},
		{HTTP2, both, 32, 0, 32, 1},
		{HTTP2, both, 82, 0, 82, 1},
		{HTTP2, only1, 82, 82, 0, 82},
	} {
		t.Run(fmt.Sprintf("%q, upstream %v, %d requests", test.version, test.protos, test.n), func(t *testing.T) {
			u := newCounting(t, test.protos...)
			u.StartTLS()
			defer u.Close()
			p := openPool(t, Options{TLS: trusting(u.Server), HTTP: test.version}, u.URL)
			for again := range 2 { // the second time over the same connections
				over1, over2, conns := u.burst(t, p, test.n)
				if over1 != test.over1 || over2 != test.over2 || again == 0 && conns != test.conns || again == 1 &&
					conns != 0 {
					t.Errorf("%d over HTTP/1.1 and %d over HTTP/2, on %d new connections; want %d, %d, %d",
						over1, over2, conns, test.over1, test.over2, test.conns)
				}
			}
		})
	}
}

// A thousand requests at once do not make a thousand handshakes, and when they are
// through, requests use HTTP/1.1 again, even if its connections are closed meanwhile
// and those of HTTP/2 are not.
func TestAfterABurst(t *testing.T) {
	u := newCounting(t, "h2", "http/1.1")
	u.StartTLS()
	defer u.Close()
	p := openPool(t, Options{TLS: trusting(u.Server)}, u.URL)
	if over1, over2, conns := u.burst(t, p, 1000); over1 != 32 || over2 != 968 || conns > 60 {
		t.Errorf("%d over HTTP/1.1 and %d over HTTP/2, on %d connections; want 32, 968, 60 at most", over1, over2,
			conns)
	}
	for range 10 {
		if over1, over2, conns := u.burst(t, p, 2); over1 != 2 || conns != 0 {
			t.Errorf("then %d over HTTP/1.1 and %d over HTTP/2, on %d new connections", over1, over2, conns)
		}
	}
	u.closeHTTP1()
	if over1, over2, conns := u.burst(t, p, 2); over1 != 2 || conns != 2 {
		t.Errorf("without HTTP/1.1's connections, %d over HTTP/1.1 and %d over HTTP/2, on %d new ones", over1, over2,
			conns)
	}
}

// Where connects are hedged, those that share one do not lose their request.
func TestBurstOverSeveralUpstreams(t *testing.T) {
	u := newCounting(t, "h2", "http/1.1")
	other := httptest.NewUnstartedServer(u)
	other.Config.ConnContext, other.EnableHTTP2 = u.Config.ConnContext, true
	for _, s := range []*httptest.Server{u.Server, other} {
		s.StartTLS()
		defer s.Close()
	}
	p := openPool(t, Options{TLS: trusting(u.Server), HTTP: HTTP2}, u.URL, other.URL)
	if _, over2, conns := u.burst(t, p, 200); over2 != 200 || conns > 10 {
		t.Errorf("%d over HTTP/2, %d connections to the first; want 200, 10 at most", over2, conns)
	}
}

// An upstream may speak HTTP/2 only, and refuse others in one of several ways. It is
// asked for HTTP/1.1 no more.
func TestOnlyHTTP2(t *testing.T) {
	lacksHTTP2 := func(hello *tls.ClientHelloInfo) bool {
		return !strings.Contains(strings.Join(hello.SupportedProtos, " "), "h2")
	}
	for name, refuse := range map[string]func(*tls.ClientHelloInfo) (*tls.Config, error){
		"alert": func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errors.New("no") },
		"closes": func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			return nil, hello.Conn.Close()
		},
		"resets": func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			_ = hello.Conn.(*net.TCPConn).SetLinger(0)
			return nil, hello.Conn.Close()
		},
		"agrees to none": func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			u := newCounting(t, "h2")
			u.Config.Protocols = new(http.Protocols)
			u.Config.Protocols.SetHTTP2(true)
			u.TLS.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				if lacksHTTP2(hello) {
					return refuse(hello)
				}
				return nil, nil
			}
			u.StartTLS()
			defer u.Close()
			p := openPool(t, Options{TLS: trusting(u.Server)}, u.URL)
			if _, over2, conns := u.burst(t, p, 1); over2 != 1 || conns != 2 {
				t.Errorf("%d over HTTP/2 on %d connections, want 1 on the second", over2, conns)
			}
			if _, over2, conns := u.burst(t, p, 50); over2 != 50 || conns != 0 {
				t.Errorf("%d over HTTP/2 on %d more connections, want 50 on none", over2, conns)
			}
			u.CloseClientConnections()
			for p.list()[0].connections.AtHand() { // until the pool knows
				time.Sleep(time.Millisecond)
			}
			if _, over2, conns := u.burst(t, p, 50); over2 != 50 || conns != 1 {
				t.Errorf("%d over HTTP/2 on %d more connections, want 50 on one", over2, conns)
			}
		})
	}
}

func TestNoSuchVersion(t *testing.T) {
	if _, err := New([]string{"https://a.example"}, Options{HTTP: "3"}); err == nil {
		t.Error("HTTP/3 is accepted")
	}
}
