package regions

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A stage is a front and a server that says hello, and for /stream says "hello
// again" in two parts, the second when more is closed.
type stage struct {
	*Front
	client *http.Client
	seen   atomic.Int32 // requests to the server
	more   chan struct{}
}

// quietTimeout is how long a test waits for what must not happen.
const quietTimeout = 150 * time.Millisecond

var wires = []struct {
	name      string
	protocols []string // nil for http
}{
	{"http", nil},
	{"https, HTTP/1.1", []string{"http/1.1"}},
	{"https, HTTP/2", []string{"h2", "http/1.1"}},
}

// onEachWire runs a test over http, and over https in both versions.
func onEachWire(t *testing.T, test func(t *testing.T, s *stage)) {
	for _, wire := range wires {
		t.Run(wire.name, func(t *testing.T) { test(t, newStage(t, wire.protocols)) })
	}
}

func newStage(t *testing.T, protocols []string) *stage {
	t.Helper()
	s := &stage{more: make(chan struct{})}
	server := httptest.NewServer(s.handler())
	t.Cleanup(server.Close)
	var config *tls.Config
	transport := &http.Transport{ForceAttemptHTTP2: true}
	if protocols != nil {
		a, err := NewAuthority()
		if err != nil {
			t.Fatal(err)
		}
		good, err := a.Certificate(time.Now().Add(day))
		if err != nil {
			t.Fatal(err)
		}
		config = &tls.Config{Certificates: []tls.Certificate{good}, NextProtos: protocols}
		transport.TLSClientConfig = &tls.Config{RootCAs: a.Pool()}
	}
	front, err := NewFront(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(front.Close)
	if err := front.Pass(server.URL); err != nil {
		t.Fatal(err)
	}
	s.Front, s.client = front, &http.Client{Transport: transport}
	t.Cleanup(transport.CloseIdleConnections)
	return s
}

func (s *stage) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		s.seen.Add(1)
		w.Header().Set("X-Relay", "here; origin=relay")
		_, _ = io.WriteString(w, "hello")
		if req.URL.Path == "/stream" {
			_ = http.NewResponseController(w).Flush()
			select {
			case <-s.more:
			case <-req.Context().Done():
				return
			}
			_, _ = io.WriteString(w, " again")
		}
	})
}

// get sends a request and returns the response and its body, or the error, which
// comes after limit at the latest.
func (s *stage) get(limit time.Duration) (*http.Response, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL()+"/v1/x?a=%zz;b", strings.NewReader("body"))
	if err != nil {
		return nil, "", err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, string(body), err
}

func (s *stage) mustGet(t *testing.T) {
	t.Helper()
	if res, body, err := s.get(10 * time.Second); err != nil || res.StatusCode != 200 || body != "hello" {
		t.Fatalf("without a fault, get() = %v, %q, %v", res, body, err)
	}
}

// open begins a stream and reads its first part.
func (s *stage) open(t *testing.T) io.Reader {
	t.Helper()
	res, err := s.client.Get(s.URL() + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	first := make([]byte, len("hello"))
	if _, err := io.ReadFull(res.Body, first); err != nil {
		t.Fatal(err)
	}
	return res.Body
}

// rest reads a stream to its end.
func rest(body io.Reader) <-chan result {
	done := make(chan result, 1)
	go func() {
		b, err := io.ReadAll(body)
		done <- result{string(b), err}
	}()
	return done
}

type result struct {
	text string
	err  error
}

func (s *stage) set(t *testing.T, f Fault) {
	t.Helper()
	if err := s.Set(f); err != nil {
		t.Fatalf("Set(%v) = %v", f, err)
	}
}

func TestFrontForwards(t *testing.T) {
	onEachWire(t, func(t *testing.T, s *stage) {
		res, body, err := s.get(10 * time.Second)
		if err != nil || body != "hello" || res.Header.Get("X-Relay") == "" {
			t.Fatalf("get() = %v, %q, %v", res, body, err)
		}
		if want := map[bool]int{false: 1, true: 2}[strings.HasSuffix(t.Name(), "2")]; res.ProtoMajor != want {
			t.Errorf("the response is HTTP/%d, want %d", res.ProtoMajor, want)
		}
		if got := len(s.Served()); got != 1 || s.Accepted() != 1 {
			t.Errorf("%d served over %d connections, want 1 and 1", got, s.Accepted())
		}
		stream := s.open(t)
		close(s.more)
		if got := <-rest(stream); got.text != " again" || got.err != nil {
			t.Errorf("the rest of the stream = %q, %v", got.text, got.err)
		}
	})
}

func TestFrontRefusesAndResets(t *testing.T) {
	for _, fault := range []Fault{Refused, Reset} {
		onEachWire(t, func(t *testing.T, s *stage) {
			s.mustGet(t)
			stream := rest(s.open(t))
			s.set(t, fault)
			if got := <-stream; got.err == nil {
				t.Errorf("%v: the stream in flight ended with %q and no error", fault, got.text)
			}
			for range 3 {
				_, _, err := s.get(10 * time.Second)
				if err == nil || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v: get() = %v, want it to fail at once", fault, err)
				}
				if refused := errors.Is(err, syscall.ECONNREFUSED); refused != (fault.name == Refused.name) {
					t.Errorf("%v: get() = %v", fault, err)
				}
			}
			s.set(t, None)
			s.mustGet(t)
		})
	}
}

func TestFrontRespondsAsAPlatform(t *testing.T) {
	for _, page := range []Page{LambdaThrottle, LambdaForbidden, LambdaCrash, GCFNoInstance, GCFUnavailable,
		VercelNotFound} {
		onEachWire(t, func(t *testing.T, s *stage) {
			s.mustGet(t)
			stream := rest(s.open(t))
			before := s.seen.Load()
			s.set(t, Serving(page))
			res, body, err := s.get(10 * time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != page.Status || body != page.Body || res.Header.Get("X-Relay") != "" {
				t.Errorf("get() = %d %q %v, want the page %d", res.StatusCode, body, res.Header, page.Status)
			}
			for name, want := range page.Header {
				if got := res.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if reached := s.seen.Load() > before; reached != page.After {
				t.Errorf("page %d: the server had the request: %v, want %v", page.Status, reached, page.After)
			}
			close(s.more)
			if got := <-stream; got.text != " again" || got.err != nil {
				t.Errorf("the stream in flight ended with %q, %v, want it to go on", got.text, got.err)
			}
		})
	}
}

func TestFrontFreezesAndThaws(t *testing.T) {
	for _, fault := range []Fault{Silent, BlackHole} {
		if fault.drops && !CanDrop {
			continue
		}
		onEachWire(t, func(t *testing.T, s *stage) {
			s.mustGet(t)
			stream := rest(s.open(t))
			s.set(t, fault)
			close(s.more)
			select {
			case got := <-stream:
				t.Errorf("%v: the stream went on with %q, %v", fault, got.text, got.err)
			case <-time.After(quietTimeout):
			}
			before := s.seen.Load()
			if _, _, err := s.get(quietTimeout); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v: get() over a connection of before = %v, want silence", fault, err)
			}
			conn, err := net.DialTimeout("tcp", s.Addr(), quietTimeout)
			if err == nil {
				_ = conn.Close()
			}
			if connected := err == nil; connected == fault.drops {
				t.Errorf("%v: a new connection = %v", fault, err)
			}
			if s.seen.Load() > before {
				t.Errorf("%v: the server had a request", fault)
			}
			s.set(t, None)
			if got := <-stream; got.text != " again" || got.err != nil {
				t.Errorf("%v: after it, the stream ended with %q, %v", fault, got.text, got.err)
			}
			s.mustGet(t)
		})
	}
}

func TestFrontEndsWhileFrozen(t *testing.T) {
	for _, next := range []Fault{Refused, Reset} {
		onEachWire(t, func(t *testing.T, s *stage) {
			stream := rest(s.open(t))
			s.set(t, Silent)
			s.set(t, next)
			if got := <-stream; got.err == nil {
				t.Errorf("the stream ended with %q and no error", got.text)
			}
			close(s.more)
		})
	}
}

func TestFrontIsSlowToConnect(t *testing.T) {
	const late = 200 * time.Millisecond
	onEachWire(t, func(t *testing.T, s *stage) {
		s.mustGet(t)
		stream := rest(s.open(t))
		s.set(t, SlowConnect(late))
		took := time.Duration(0)
		for tries := 0; took < late && tries < 100; tries++ { // the existing connection may serve a few more
			begin := time.Now()
			s.mustGet(t)
			took = time.Since(begin)
		}
		if took < late {
			t.Errorf("a new connection took %v, want at least %v", took, late)
		}
		close(s.more)
		if got := <-stream; got.text != " again" || got.err != nil {
			t.Errorf("the stream in flight ended with %q, %v, want it to go on", got.text, got.err)
		}
	})
}

func TestFrontDrains(t *testing.T) {
	onEachWire(t, func(t *testing.T, s *stage) {
		s.mustGet(t)
		stream := rest(s.open(t))
		s.set(t, Drained)
		if conn, err := net.DialTimeout("tcp", s.Addr(), 10*time.Second); err == nil {
			_ = conn.Close()
			t.Error("a drained front accepts a connection")
		}
		close(s.more)
		if got := <-stream; got.text != " again" || got.err != nil {
			t.Errorf("the stream in flight ended with %q, %v, want it to go on", got.text, got.err)
		}
		s.set(t, None)
		// The client may learn only now that its idle connection is gone.
		s.client.CloseIdleConnections()
		s.mustGet(t)
	})
}

func TestFrontKeepsItsAddress(t *testing.T) {
	s := newStage(t, nil)
	addr := s.Addr()
	for range 50 {
		s.set(t, Refused)
		if ln, err := net.Listen("tcp", "127.0.0.1:0"); err != nil || ln.Addr().String() == addr {
			t.Fatalf("another listener = %v, %v", ln, err)
		} else {
			_ = ln.Close()
		}
		s.set(t, None)
		s.client.CloseIdleConnections()
		s.mustGet(t)
	}
}

func TestFrontFlaps(t *testing.T) {
	s := newStage(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Flap(ctx, Refused, 60*time.Millisecond) }()
	up, down, changes, last := 0, 0, 0, true
	for deadline := time.Now().Add(10 * time.Second); changes < 4 &&
		time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		_, _, err := s.get(time.Second)
		s.client.CloseIdleConnections()
		if ok := err == nil; ok != last {
			changes, last = changes+1, ok
		}
		if err == nil {
			up++
		} else {
			down++
		}
	}
	cancel()
	if err := <-ended; err != nil || changes < 4 || up == 0 || down == 0 {
		t.Errorf("%d requests succeeded, %d failed, %d changes, %v", up, down, changes, err)
	}
	s.mustGet(t)
}

func TestRegionsCertificateExpires(t *testing.T) {
	a, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	var r Region
	config, err := r.config(a, false)
	if err != nil {
		t.Fatal(err)
	}
	if r.Front, err = NewFront(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Front.Close)
	trusting := &tls.Config{RootCAs: a.Pool(), ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	handshake := func() error {
		conn, err := tls.Dial("tcp", r.Front.Addr(), trusting)
		if err == nil {
			_ = conn.Close()
		}
		return err
	}
	if err := handshake(); err != nil {
		t.Fatal(err)
	}
	r.Expire(true)
	if err, invalid := handshake(), (x509.CertificateInvalidError{}); !errors.As(err, &invalid) ||
		invalid.Reason != x509.Expired {
		t.Errorf("the handshake ended with %v, want an expired certificate", err)
	}
	r.Expire(false)
	if err := handshake(); err != nil {
		t.Error(err)
	}
}

func TestClosedFrontIsClosed(t *testing.T) {
	s := newStage(t, nil)
	s.mustGet(t)
	s.Front.Close()
	if err := s.Set(None); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Set() of a closed front = %v", err)
	}
	if _, _, err := s.get(10 * time.Second); err == nil {
		t.Error("a closed front responds")
	}
}
