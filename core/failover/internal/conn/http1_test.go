package conn

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// pipe returns a connection of ours to a server that is a function.
func pipe(t *testing.T, serve func(conn *net.TCPConn)) (h *h1, given *int) {
	t.Helper()
	address := strings.TrimPrefix(scripted(t, func(conn *net.TCPConn, _ int) { serve(conn) }), "http://")
	s, err := dialSocket(t.Context(), newDialer(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	given = new(int)
	return newHTTP1(s, s, func() { *given++ }), given
}

func outgoing(t *testing.T, method, body string, length int64) *http.Request {
	t.Helper()
	req := &http.Request{Method: method, URL: &url.URL{Path: "/v1/x", RawQuery: "a=1;b"}, Host: "h.example",
		Header: http.Header{}}
	if length != 0 {
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), length
	}
	return req.WithContext(t.Context())
}

// What goes over the wire, byte by byte.
func TestWrittenRequests(t *testing.T) {
	large := strings.Repeat("x", smallBody+1)
	for _, test := range []struct {
		name   string
		method string
		body   string
		length int64
		header http.Header
		want   string
	}{
		{"GET", "GET", "", 0, nil, "GET /v1/x?a=1;b HTTP/1.1\r\nHost: h.example\r\n\r\n"},
		{"POST without a body", "POST", "", 0, nil,
			"POST /v1/x?a=1;b HTTP/1.1\r\nHost: h.example\r\nContent-Length: 0\r\n\r\n"},
		{"DELETE with one", "DELETE", "hi", 2, nil,
			"DELETE /v1/x?a=1;b HTTP/1.1\r\nHost: h.example\r\nContent-Length: 2\r\n\r\nhi"},
		{"large", "POST", large, int64(len(large)), nil, "POST /v1/x?a=1;b HTTP/1.1\r\nHost: h.example\r\n" +
			"Content-Length: " + strconv.Itoa(len(large)) + "\r\n\r\n" + large},
		{"of unknown length", "POST", "hello", -1, nil, "POST /v1/x?a=1;b HTTP/1.1\r\nHost: h.example\r\n" +
			"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
		{"headers", "GET", "", 0, http.Header{"User-Agent": {""}, "Host": {"evil"}, "Content-Length": {"9"},
			"Transfer-Encoding": {"x"}, "idempotency-key": {"k"}},
			"GET /v1/x?a=1;b HTTP/1.1\r\nHost: h.example\r\nidempotency-key: k\r\n\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := make(chan string, 1)
			h, given := pipe(t, func(conn *net.TCPConn) {
				b := make([]byte, len(test.want))
				n, _ := io.ReadFull(conn, b)
				_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
				rest, _ := io.ReadAll(conn)
				got <- string(b[:n]) + string(rest)
			})
			req := outgoing(t, test.method, test.body, test.length)
			if test.header != nil {
				req.Header = test.header
			}
			res, err := h.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			h.conn.Close()
			if s := <-got; s != test.want {
				t.Errorf("wrote %.300q, want %.300q", s, test.want)
			}
			if *given != 1 {
				t.Errorf("given back %d times", *given)
			}
		})
	}
}

func TestRequestsThatCannotBeWritten(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"method":         func(req *http.Request) { req.Method = "GET / HTTP/1.1\r\nX:" },
		"target":         func(req *http.Request) { req.URL.Path = "http://elsewhere" },
		"query":          func(req *http.Request) { req.URL.RawQuery = "a\r\nX: y" },
		"space in query": func(req *http.Request) { req.URL.RawQuery = "a b" },
		"host":           func(req *http.Request) { req.Host = "h\r\nX: y" },
		"header value":   func(req *http.Request) { req.Header["X"] = []string{"a\r\nY: b"} },
		"header name":    func(req *http.Request) { req.Header["X: y\r\nZ"] = []string{"a"} },
		"short body": func(req *http.Request) {
			req.Body, req.ContentLength = io.NopCloser(strings.NewReader("x")),
				2
		},
	} {
		h, given := pipe(t, func(conn *net.TCPConn) {
			if b, _ := io.ReadAll(conn); len(b) > 0 {
				t.Errorf("%s: %q was written", name, b)
			}
		})
		req := outgoing(t, "POST", "", 0)
		change(req)
		if _, err := h.RoundTrip(req); err == nil || h.wrote.Load() || *given != 0 {
			t.Errorf("%s: %v, written %t", name, err, h.wrote.Load())
		}
	}
}

// Which responses leave a connection good for another request.
func TestReuse(t *testing.T) {
	for _, test := range []struct {
		answer string
		body   string
		err    bool
		given  int
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", false, 1},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok", false, 1},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n", "ok", false,
			1},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\n" +
			"Content-Length: 0\r\n\r\n", "", false, 1},
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", "ok", false, 0},
		{"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", false, 0},
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "ok", false,
			0},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", "ok", true, 0},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", "ok", true, 0},
		{"HTTP/1.1 101 Switching Protocols\r\n\r\n", "", false, 0},
	} {
		h, given := pipe(t, func(conn *net.TCPConn) {
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, test.answer)
		})
		res, err := h.RoundTrip(outgoing(t, "POST", "hello", 5))
		if err != nil {
			t.Errorf("%q: %v", test.answer, err)
			continue
		}
		got, err := io.ReadAll(res.Body)
		if string(got) != test.body || (err != nil) != test.err || *given != test.given {
			t.Errorf("%q: %q, %v, given back %d times, want %d", test.answer, got, err, *given, test.given)
		}
		res.Body.Close()
		if *given != test.given {
			t.Errorf("%q: given back %d times after Close", test.answer, *given)
		}
	}
}

func TestHeadersAreLimited(t *testing.T) {
	for name, answer := range map[string]string{
		"one":  "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxHeaderBytes) + "\r\n\r\n",
		"many": "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", maxHeaderBytes/6+1) + "\r\n",
		"1xx":  strings.Repeat("HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n", maxHeaderBytes/34+1),
	} {
		h, _ := pipe(t, func(conn *net.TCPConn) {
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, answer)
			_, _ = io.Copy(io.Discard, conn)
		})
		if _, err := h.RoundTrip(outgoing(t, "GET", "", 0)); !errors.Is(err, errHeadersTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A response that comes before the request is complete is delivered, and ends the
// connection.
func TestEarlyResponse(t *testing.T) {
	h, given := pipe(t, func(conn *net.TCPConn) {
		_, _ = http.ReadRequest(bufio.NewReader(conn))
		_, _ = io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
		_, _ = io.Copy(io.Discard, conn)
	})
	endless := &blocking{closed: make(chan struct{})}
	req := outgoing(t, "POST", "", 0)
	req.Body, req.ContentLength = endless, 1<<30
	res, err := h.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(res.Body)
	if res.StatusCode != 413 || string(got) != "no" || err != nil || *given != 0 {
		t.Errorf("got %d %q %v, given back %d times", res.StatusCode, got, err, *given)
	}
	close(endless.closed)
}

// A blocking body gives a little and then waits.
type blocking struct {
	given  bool
	closed chan struct{}
}

func (b *blocking) Read(p []byte) (int, error) {
	if !b.given {
		b.given = true
		return copy(p, "some"), nil
	}
	<-b.closed
	return 0, io.ErrUnexpectedEOF
}

func (b *blocking) Close() error { return nil }

func TestExpectContinue(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		status       int
		body         string // that the upstream got
		given        int
	}{
		{"wanted", "HTTP/1.1 100 Continue\r\n\r\n", 200, "hello", 1},
		{"not wanted", "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", 401, "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := make(chan string, 1)
			h, given := pipe(t, func(conn *net.TCPConn) {
				r := bufio.NewReader(conn)
				_, _ = http.ReadRequest(r)
				_, _ = io.WriteString(conn, test.answer)
				b := make([]byte, 5)
				n, _ := io.ReadFull(r, b)
				got <- string(b[:n])
				if n > 0 {
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				}
			})
			req := outgoing(t, "POST", "hello", 5)
			req.Header.Set("Expect", "100-continue")
			res, err := h.RoundTrip(req)
			if err != nil || res.StatusCode != test.status {
				t.Fatalf("got %v", err)
			}
			res.Body.Close()
			if b := <-got; b != test.body {
				t.Errorf("upstream got %q, want %q", b, test.body)
			}
			_ = given // whether the writer is through by then is a matter of luck
		})
	}
}

// The end of the context ends an exchange wherever it is, at once.
func TestEndOfTheContext(t *testing.T) {
	for _, where := range []string{"header", "body"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		reason := errors.New("reason")
		ended := make(chan time.Time, 1)
		h, given := pipe(t, func(conn *net.TCPConn) {
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			if where == "body" {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nsome")
			} else {
				cancel(reason)
			}
			_, _ = io.Copy(io.Discard, conn)
			ended <- time.Now()
		})
		res, err := h.RoundTrip(outgoing(t, "GET", "", 0).WithContext(ctx))
		if where == "body" {
			if _, err := io.ReadFull(res.Body, make([]byte, 4)); err != nil {
				t.Fatal(err)
			}
			cancel(reason)
			_, err = res.Body.Read(make([]byte, 1))
			if !errors.Is(err, reason) {
				t.Errorf("%s: %v", where, err)
			}
		} else if !errors.Is(err, reason) {
			t.Errorf("%s: %v", where, err)
		}
		<-ended
		if *given != 0 {
			t.Errorf("%s: given back", where)
		}
	}
}

func TestVersionsOfResponses(t *testing.T) {
	for version, good := range map[string]bool{"HTTP/1.1": true, "HTTP/1.0": true, "HTTP/9.9": false, "HTTP/2.0": false,
		"HTTP/0.9": false, "ICY": false} {
		h, _ := pipe(t, func(conn *net.TCPConn) {
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, version+" 200 OK\r\nContent-Length: 0\r\n\r\n")
		})
		if _, err := h.RoundTrip(outgoing(t, "GET", "", 0)); (err == nil) != good {
			t.Errorf("%s: %v", version, err)
		}
	}
}

// FuzzHeader: what is written is read by net/http as the same request.
func FuzzHeader(f *testing.F) {
	f.Add("GET", "/v1/x", "a=1", "X-Name", "value")
	f.Add("POST", "/v1/%2f", "a\r\nb", "x y", "a\nb")
	f.Add("0", "A://0", "0", "0", "0")
	f.Fuzz(func(t *testing.T, method, path, query, name, value string) {
		req := &http.Request{Method: method, URL: &url.URL{Path: path, RawQuery: query}, Host: "h.example",
			Header: http.Header{name: {value}}}
		b, err := appendHeader(nil, req)
		if err != nil {
			return
		}
		got, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			if strings.EqualFold(name, "Content-Length") || strings.EqualFold(name, "Transfer-Encoding") ||
				strings.EqualFold(name, "Host") || strings.HasPrefix(path, "//") {
				return
			}
			t.Fatalf("%q: %v", b, err)
		}
		if got.Method != method || got.Host != "h.example" && !strings.EqualFold(name, "Host") {
			t.Errorf("%q is read as %s for %s", b, got.Method, got.Host)
		}
		if n := bytes.Count(b, []byte("\n")); n > 4 {
			t.Errorf("%q has %d lines", b, n)
		}
	})
}

// TestStrayResponsesInTLS: what stands behind a response in the same record is in
// neither the socket nor the buffer, and no response to the next request.
func TestStrayResponsesInTLS(t *testing.T) {
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	defer certified.Close()
	body := strings.Repeat("x", 5000)
	for _, test := range []struct {
		name, behind string
		again        int // times that the connection goes back
	}{
		{"nothing", "", 1},
		{"a response", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", 0},
		{"a byte", "\n", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			plain := scripted(t, func(conn *net.TCPConn, _ int) {
				secure := tls.Server(conn, &tls.Config{Certificates: certified.TLS.Certificates,
					DynamicRecordSizingDisabled: true})
				if _, err := http.ReadRequest(bufio.NewReader(secure)); err != nil {
					t.Error(err)
				}
				_, _ = io.WriteString(secure, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
				_, _ = io.WriteString(secure, body+test.behind) // one record
				_, _ = io.Copy(io.Discard, conn)
			})
			s, err := dialSocket(t.Context(), newDialer(), strings.TrimPrefix(plain, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			given := 0
			h := newHTTP1(tls.Client(s, &tls.Config{RootCAs: trusting(certified).RootCAs, ServerName: "example.com"}),
				s, func() { given++ })
			res, err := h.RoundTrip(outgoing(t, "GET", "", 0))
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(body)) // read past the buffer, as large bodies are
			if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != body {
				t.Errorf("body: %v", err)
			}
			_, _ = res.Body.Read(got[:1])
			if given != test.again {
				t.Errorf("the connection was given back %d times, want %d", given, test.again)
			}
		})
	}
}

// The end of the context ends an exchange over TLS at once, even if the server takes no
// more of the request, so that not even a farewell can be written.
func TestEndOfTheContextDuringAnUpload(t *testing.T) {
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	defer certified.Close()
	over := make(chan bool)
	plain := scripted(t, func(conn *net.TCPConn, _ int) {
		if err := tls.Server(conn, &tls.Config{Certificates: certified.TLS.Certificates}).Handshake(); err != nil {
			t.Error(err)
		}
		<-over
	})
	defer close(over)
	for range 10 { // whether the write or the read fails first is chance
		s, err := dialSocket(t.Context(), newDialer(), strings.TrimPrefix(plain, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		h := newHTTP1(tls.Client(s, &tls.Config{RootCAs: trusting(certified).RootCAs, ServerName: "example.com"}), s,
			func() {})
		ctx, cancel := context.WithCancelCause(t.Context())
		reason := errors.New("reason")
		body := new(endless)
		req := outgoing(t, "POST", "", 0).WithContext(ctx)
		req.Body, req.ContentLength = io.NopCloser(body), 1<<40
		var ended time.Time
		go func() {
			body.awaitPause()
			ended = time.Now()
			cancel(reason)
		}()
		_, err = h.RoundTrip(req)
		if took := time.Since(ended); !errors.Is(err, reason) || took > 2*time.Second {
			t.Fatalf("%v, %v after the end of the context", err, took)
		}
	}
}

// An endless body counts what was read of it.
type endless struct{ n atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.n.Add(int64(len(p)))
	return len(p), nil
}

// awaitPause waits until nobody reads for a while.
func (e *endless) awaitPause() {
	for before := int64(-1); e.n.Load() == 0 || e.n.Load() != before; time.Sleep(50 * time.Millisecond) {
		before = e.n.Load()
	}
}
