package core

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// newTLSFront serves a relay whose upstream speaks TLS, and HTTP/2 to who wants
// it, over the relay's own transport for platform.
func newTLSFront(t *testing.T, platform Platform, answer http.HandlerFunc) *front {
	t.Helper()
	f := &front{log: new(lockedBuffer)}
	f.upstream = httptest.NewUnstartedServer(answer)
	f.upstream.EnableHTTP2 = true
	f.upstream.StartTLS()
	t.Cleanup(f.upstream.Close)
	transport := newTransport(Config{Platform: platform})
	transport.TLSClientConfig.RootCAs = x509.NewCertPool()
	transport.TLSClientConfig.RootCAs.AddCert(f.upstream.Certificate())
	t.Cleanup(transport.CloseIdleConnections)
	f.start(t, f.upstream.URL, func(cfg *Config) { cfg.Transport = transport })
	return f
}

func TestProtocolToTheUpstream(t *testing.T) {
	for platform, want := range map[Platform]string{{}: "HTTP/2.0", {Serverless: true}: "HTTP/2.0", {SingleRequest: true}: "HTTP/1.1"} {
		f := newTLSFront(t, platform, func(w http.ResponseWriter, req *http.Request) {
			body, _ := io.ReadAll(req.Body)
			_, _ = io.WriteString(w, req.Proto+" "+req.RequestURI+" "+req.Header.Get("Idempotency-Key")+" "+string(body))
		})
		res, body := send(t, "POST", f.URL+"/v1/chat/completions?a=%zz;b", "hello", "Idempotency-Key", "k")
		if want += " /v1/chat/completions?a=%zz;b k hello"; res.StatusCode != 200 || body != want {
			t.Errorf("%+v: got %d %q, want %q", platform, res.StatusCode, body, want)
		}
	}
}

func TestStreamsOverHTTP2(t *testing.T) {
	next, canceled := make(chan bool), make(chan bool, 1)
	f := newTLSFront(t, Platform{}, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			_, _ = io.WriteString(w, event)
			_ = http.NewResponseController(w).Flush()
			<-next // until the reader has it
		}
		if req.URL.RawQuery == "cut" {
			panic(http.ErrAbortHandler) // RST_STREAM
		}
		<-req.Context().Done()
		canceled <- true
	})
	begin := func(query string) (*http.Response, *bufio.Reader) {
		res := do(t, newRequest(t, "POST", f.URL+"/v1/responses?"+query, "{}"))
		r := bufio.NewReader(res.Body)
		for range 3 {
			if got := make([]byte, len(event)); true {
				if _, err := io.ReadFull(r, got); err != nil || string(got) != event {
					t.Fatalf("got %q, %v", got, err)
				}
			}
			next <- true
		}
		return res, r
	}
	_, r := begin("cut")
	if rest, err := io.ReadAll(r); err == nil || string(rest) != string(ErrInterrupted.frame()) {
		t.Errorf("after the cut: %q, %v", rest, err)
	}
	res, _ := begin("gone")
	res.Body.Close()
	receive(t, canceled, "the upstream's request to be cancelled")
}

// net/http tries a request again for as long as an HTTP/2 server refuses it
// unprocessed; the relay ends that.
func TestConnectionsForOneRequestAreBounded(t *testing.T) {
	var tried atomic.Int32
	f := newFront(t, ok, func(cfg *Config) {
		cfg.Transport = roundTripFunc(func(req *http.Request) (*http.Response, error) {
			ctx := req.Context()
			for ctx.Err() == nil {
				tried.Add(1)
				httptrace.ContextClientTrace(ctx).GotConn(httptrace.GotConnInfo{})
			}
			return nil, context.Cause(ctx)
		})
	})
	res, body := send(t, "POST", f.URL+"/v1/chat/completions", "{}")
	wantError(t, res, body, errReset)
	if n := tried.Load(); n != maxConnections+1 {
		t.Errorf("%d connections, want %d and the one that is too many", n, maxConnections)
	}
}

func TestNoDescriptorsLeft(t *testing.T) {
	f := newFront(t, ok, func(cfg *Config) {
		cfg.Transport = roundTripFunc(func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}
		})
	})
	res, body := send(t, "GET", f.URL+"/v1/models", "")
	wantError(t, res, body, errOverloaded)
}

func TestBodiesAreFreedWhenTheAnswerBegins(t *testing.T) {
	b := newReplayBody(&http.Request{Body: io.NopCloser(strings.NewReader("hello")), ContentLength: 5})
	r := b.open()
	if got, err := io.ReadAll(r); string(got) != "hello" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	b.forget()
	if b.kept != nil || !b.done() || b.rewind() {
		t.Errorf("kept %q, done %t, can be sent again %t", b.kept, b.done(), b.rewind())
	}
	if _, err := b.reopen(); !errors.Is(err, errReplayLimit) {
		t.Errorf("reopen: %v", err)
	}
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("its reader: %v", err)
	}
}
