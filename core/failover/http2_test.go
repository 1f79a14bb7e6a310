package failover

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Frame types and flags of HTTP/2 (RFC 9113, section 6).
const (
	frameHeaders   = 1
	frameRSTStream = 3
	frameSettings  = 4
	frameGoAway    = 7
	frameWindow    = 8

	flagEndHeaders = 0x4
	flagEnd        = 0x1 | flagEndHeaders // and END_STREAM
)

// An http2Conn is the server's end of an HTTP/2 connection, by hand.
type http2Conn struct{ net.Conn }

func (c http2Conn) write(kind, flags byte, stream uint32, payload ...byte) {
	head := make([]byte, 9)
	binary.BigEndian.PutUint32(head, uint32(len(payload))<<8|uint32(kind))
	head[4] = flags
	binary.BigEndian.PutUint32(head[5:], stream)
	_, _ = c.Write(append(head, payload...))
}

// request reads frames until a request has come and returns its stream.
func (c http2Conn) request() (stream uint32, err error) {
	for {
		head := make([]byte, 9)
		if _, err := io.ReadFull(c, head); err != nil {
			return 0, err
		}
		length := binary.BigEndian.Uint32(head) >> 8
		if _, err := io.CopyN(io.Discard, c, int64(length)); err != nil {
			return 0, err
		}
		if head[3] == frameHeaders {
			return binary.BigEndian.Uint32(head[5:]), nil
		}
	}
}

// serveHTTP2 serves HTTP/2 connections by a function, the n-th from 0 on, and
// returns the address and what trusts its certificate.
func serveHTTP2(t *testing.T, serve func(c http2Conn, n int)) (string, *tls.Config) {
	t.Helper()
	certified := httptest.NewTLSServer(nil)
	t.Cleanup(certified.Close)
	ln, err := tls.Listen("tcp", "127.0.0.1:0",
		&tls.Config{Certificates: certified.TLS.Certificates, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		for n := 0; ; n++ {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wait.Go(func() {
				defer conn.Close()
				preface := make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
				if _, err := io.ReadFull(conn, preface); err == nil {
					c := http2Conn{conn}
					c.write(frameSettings, 0, 0)
					serve(c, n)
				}
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		wait.Wait()
	})
	return "https://" + ln.Addr().String(), trusting(certified)
}

// An HTTP/2 server that says it has not processed a request gets it once more
// over a new connection, and no oftener.
func TestUnprocessedOverHTTP2(t *testing.T) {
	const refusedStream = 7 // RFC 9113, section 7
	refuse := func(c http2Conn, stream uint32) { c.write(frameRSTStream, 0, stream, 0, 0, 0, refusedStream) }
	goAway := func(c http2Conn, _ uint32) { c.write(frameGoAway, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) }
	reset := func(c http2Conn, stream uint32) { c.write(frameRSTStream, 0, stream, 0, 0, 0, 2) } // INTERNAL_ERROR
	for _, test := range []struct {
		name      string
		answer    func(c http2Conn, stream uint32)
		times     int
		requests  int32
		ok        bool
		ambiguous bool
	}{
		{"refused", refuse, 1, 2, true, false},
		{"going away", goAway, 1, 2, true, false},
		{"refused for ever", refuse, 9, 2, false, false},
		{"reset", reset, 1, 1, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var requests atomic.Int32
			url, trust := serveHTTP2(t, func(c http2Conn, n int) {
				for {
					stream, err := c.request()
					if err != nil {
						return
					}
					requests.Add(1)
					if n < test.times {
						test.answer(c, stream)
						continue
					}
					c.write(frameHeaders, flagEnd, stream, 0x88) // :status 200
				}
			})
			p := openPool(t, Options{TLS: trust, HTTP: HTTP2}, url)
			status, _, _, err := post(t, p, strings.Repeat("x", 100))
			if test.ok != (status == 200 && err == nil) || requests.Load() != test.requests {
				t.Errorf("got %d %v after %d requests, want %d", status, err, requests.Load(), test.requests)
			}
			if e, is := errors.AsType[*Error](err); !test.ok && (!is || e.Ambiguous != test.ambiguous) {
				t.Errorf("got %v, want ambiguous %t", err, test.ambiguous)
			}
		})
	}
}

// No request gets the HTTP/2 connection of a health check, which is closed when the
// check has ended.
func TestCheckOverHTTP2IsAlone(t *testing.T) {
	r := unstartedRegion(t)
	r.EnableHTTP2 = true
	r.StartTLS()
	checking, responding := make(chan bool), make(chan bool)
	probe := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		checking <- true
		<-checking
		healthy(w, req)
	})
	r.health.Store(&probe)
	r.set(func(w http.ResponseWriter, req *http.Request) {
		if req.ProtoMajor != 2 {
			t.Errorf("the request came over %s", req.Proto)
		}
		responding <- true
		<-responding
		relayed(w, req)
	})
	p := openPool(t, Options{TLS: trusting(r.Server), HTTP: HTTP2}, r.URL)
	var both sync.WaitGroup
	both.Go(func() {
		if _, err := p.examine(t.Context(), p.list()[0], false); err != nil {
			t.Error(err)
		}
	})
	<-checking
	both.Go(func() {
		if status, body, _, err := post(t, p, "hello"); status != 200 || body != "hello" || err != nil {
			t.Errorf("%d %q %v", status, body, err)
		}
	})
	<-responding
	close(checking)
	for p.list()[0].silence.silentFor() < 50*time.Millisecond { // until the check's connection is closed
		time.Sleep(10 * time.Millisecond)
	}
	close(responding)
	both.Wait()
}

// A server that takes no more of a large body blocks every write to its connection. A
// response over the same connection can be given up all the same.
func TestCancelOverABlockedHTTP2Connection(t *testing.T) {
	over := make(chan bool)
	url, trust := serveHTTP2(t, func(c http2Conn, _ int) {
		c.write(frameSettings, 0, 0, 0, 4, 0x40, 0, 0, 0) // INITIAL_WINDOW_SIZE: 1 GiB
		c.write(frameWindow, 0, 0, 0x3f, 0, 0, 0)
		stream, err := c.request()
		if err != nil {
			t.Error(err)
			return
		}
		c.write(frameHeaders, flagEndHeaders, stream, 0x88) // :status 200, and no body
		_, _ = c.request()
		<-over // and reads no more
	})
	p := openPool(t, Options{TLS: trust, HTTP: HTTP2}, url)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	defer close(over)
	send := func(body io.Reader) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, "POST", "https://any.example/v1/x", body)
		if err != nil {
			t.Fatal(err)
		}
		return p.RoundTrip(req)
	}
	res, err := send(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()

	var sent atomic.Int64
	var upload sync.WaitGroup
	upload.Go(func() {
		res, err := send(readerFunc(func(b []byte) (int, error) {
			sent.Add(int64(len(b)))
			return len(b), nil
		}))
		if err == nil {
			res.Body.Close()
			t.Error("the upload has a response")
		}
	})
	for before := int64(-1); sent.Load() == 0 || sent.Load() != before; time.Sleep(50 * time.Millisecond) {
		before = sent.Load()
	}
	given := make(chan error, 1)
	go func() {
		_, err := res.Body.Read(make([]byte, 1))
		given <- err
	}()
	cancel()
	select {
	case err := <-given:
		if err == nil || err == io.EOF {
			t.Errorf("the response ends with %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Errorf("the response was not given up, after %d bytes of the upload", sent.Load())
	}
	upload.Wait()
}
