package core

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"syscall"
	"testing"

	"example.com/relay/core/failover"
)

// newTLSFront serves a relay whose upstream speaks TLS, and HTTP/2 to who wants
// it, over the relay's own transport for platform.
func newTLSFront(t *testing.T, platform Platform, version failover.HTTPVersion, answer http.HandlerFunc) *front {
	t.Helper()
	f := &front{log: new(lockedBuffer)}
	f.upstream = httptest.NewUnstartedServer(answer)
	f.upstream.EnableHTTP2 = true
	f.upstream.TLS = &tls.Config{NextProtos: []string{"h2", "http/1.1"}}
	f.upstream.StartTLS()
	t.Cleanup(f.upstream.Close)
	f.start(t, f.upstream.URL, func(cfg *Config) {
		cfg.TLS, cfg.Platform, cfg.UpstreamHTTP = trusting(f.upstream), platform, version
	})
	return f
}

// trusting returns a configuration that trusts server's certificate.
func trusting(server *httptest.Server) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return &tls.Config{RootCAs: roots}
}

func TestProtocolToTheUpstream(t *testing.T) {
	for _, test := range []struct {
		platform Platform
		version  failover.HTTPVersion
		want     string
	}{
		{Platform{}, "", "HTTP/1.1"},
		{Platform{}, failover.HTTPAuto, "HTTP/1.1"},
		{Platform{}, failover.HTTP1, "HTTP/1.1"},
		{Platform{}, failover.HTTP2, "HTTP/2.0"},
		{Platform{Serverless: true}, "", "HTTP/1.1"},
		{Platform{Serverless: true}, failover.HTTP2, "HTTP/2.0"},
		{Platform{SingleRequest: true}, "", "HTTP/1.1"},
		{Platform{SingleRequest: true}, failover.HTTP2, "HTTP/1.1"},
	} {
		f := newTLSFront(t, test.platform, test.version, func(w http.ResponseWriter, req *http.Request) {
			body, _ := io.ReadAll(req.Body)
			_, _ = io.WriteString(w, req.Proto+" "+req.RequestURI+" "+req.Header.Get("Idempotency-Key")+" "+
				string(body))
		})
		res, body := send(t, "POST", f.URL+"/v1/chat/completions?a=%zz;b", "hello", "Idempotency-Key", "k")
		if want := test.want + " /v1/chat/completions?a=%zz;b k hello"; res.StatusCode != 200 || body != want {
			t.Errorf("%+v: got %d %q, want %q", test, res.StatusCode, body, want)
		}
	}
}

func TestStreamsOverHTTP2(t *testing.T) {
	next, canceled := make(chan bool), make(chan bool, 1)
	f := newTLSFront(t, Platform{}, failover.HTTP2, func(w http.ResponseWriter, req *http.Request) {
		if req.ProtoMajor != 2 {
			t.Errorf("the request came over %s", req.Proto)
		}
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
	if rest, err := io.ReadAll(r); err == nil || string(rest) != ErrInterrupted.frame(responsesEvents) {
		t.Errorf("after the cut: %q, %v", rest, err)
	}
	res, _ := begin("gone")
	res.Body.Close()
	receive(t, canceled, "the upstream's request to be cancelled")
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
