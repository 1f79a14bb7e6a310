package failover

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// wire serves each request on conn with serve, which may read its body.
func wire(conn *net.TCPConn, serve func(req *http.Request, r *bufio.Reader)) {
	for r := bufio.NewReader(conn); ; {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		serve(req, r)
	}
}

// An upstream responds to a request that expects a 100 (Continue) without reading
// its body, and reads that as the next request. Nobody gets the response to it.
func TestRequestHiddenInABody(t *testing.T) {
	hidden := "GET /v1/hidden HTTP/1.1\r\nHost: h\r\n\r\n"
	for _, test := range []struct {
		name   string
		expect []string
		large  bool
	}{
		{"100-continue", []string{"100-continue"}, false},
		{"100-Continue", []string{"100-Continue"}, false},
		{"list", []string{"100-continue, x"}, false},
		{"other", []string{"x 100-continue"}, false},
		{"two", []string{"100-continue", "100-continue"}, false},
		{"two, the first empty", []string{"", "100-continue"}, false},
		{"large", []string{"100-continue"}, true},
	} {
		for _, way := range []string{"direct", "proxy"} {
			t.Run(test.name+" "+way, func(t *testing.T) {
				upstream := scripted(t, func(conn *net.TCPConn, _ int) {
					wire(conn, func(req *http.Request, _ *bufio.Reader) {
						if values := req.Header["Expect"]; len(values) > 1 || len(values) == 1 &&
							!strings.EqualFold(values[0], "100-continue") {
							t.Errorf("upstream got Expect: %q", values)
						}
						text := req.URL.Path
						if req.Header.Get("Expect") == "" {
							_, _ = io.Copy(io.Discard, req.Body) // it is asked for nothing odd
						} else {
							time.Sleep(1100 * time.Millisecond) // past the patience
						}
						_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
					})
				})
				opts := Options{}
				if way == "proxy" {
					opts.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(upstream) }
				}
				p := openPool(t, opts, upstream)
				for i := range 3 {
					body := hidden
					if test.large {
						body += strings.Repeat(" ", (32 << 10))
					}
					path := "/v1/" + strconv.Itoa(i)
					req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://any.example"+path,
						strings.NewReader(body))
					if i == 0 {
						req.Header["Expect"] = test.expect
					}
					res, _, err := p.Send(req, Route{})
					if err != nil {
						t.Fatal(err)
					}
					got, _ := io.ReadAll(res.Body)
					res.Body.Close()
					if string(got) != path {
						t.Fatalf("the request for %s got the response to that for %s", path, got)
					}
				}
			})
		}
	}
}

// Which responses end a connection though it could go on by the specification: what
// would come behind them is not sure to be the next response.
func TestConnectionsThatAreNotReused(t *testing.T) {
	for _, test := range []struct {
		method, answer string
		reused         bool
	}{
		{"HEAD", "HTTP/1.1 200 OK\r\n\r\n", true},
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true},
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false},
		{"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false},
		{"GET", "HTTP/1.1 204 No Content\r\n\r\n", true},
		{"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", false},
		{"GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", false},
		{"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false},
		{"GET", "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
			false},
		{"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", false},
		{"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true},
		{"GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", false},
		{"GET", "HTTP/1.1 200 OK\r\nConnection: Keep-Alive, Close\r\nContent-Length: 0\r\n\r\n", false},
		{"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true},
	} {
		for _, way := range []string{"direct", "proxy"} {
			var mu sync.Mutex
			var conns int
			upstream := scripted(t, func(conn *net.TCPConn, _ int) {
				mu.Lock()
				conns++
				mu.Unlock()
				wire(conn, func(*http.Request, *bufio.Reader) { _, _ = io.WriteString(conn, test.answer) })
			})
			opts := Options{}
			if way == "proxy" {
				if strings.Contains(test.answer, "103") || strings.Contains(test.answer, "chunked\r\nContent-Length") {
					continue // only connections of our own see it
				}
				opts.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(upstream) }
			}
			p := openPool(t, opts, upstream)
			for range 2 {
				if _, _, _, err := request(t, p, test.method, ""); err != nil {
					t.Fatalf("%s, %s, %q: %v", way, test.method, test.answer, err)
				}
			}
			mu.Lock()
			if reused := conns == 1; reused != test.reused {
				t.Errorf("%s, %s, %q: %d connections, want reuse %t", way, test.method, test.answer, conns, test.reused)
			}
			mu.Unlock()
		}
	}
}

func TestHeaderLinesAreLimited(t *testing.T) {
	lines := func(n int) string { return strings.Repeat("a:\r\n", n) }
	for _, test := range []struct {
		name, answer string
		good         bool
	}{
		{"400", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + lines(400) + "\r\n", true},
		{"501", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + lines(500) + "\r\n", false},
		{"31,000", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + lines(31000) + "\r\n", false},
		{"bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 0\n" + strings.Repeat("a:\n", 600) + "\n", false},
		{"folded", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\na: b\r\n" + strings.Repeat(" c\r\n", 600) + "\r\n", false},
		{"in 1xx", "HTTP/1.1 103 Early Hints\r\n" + lines(600) + "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
			false},
		{"in many 1xx", strings.Repeat("HTTP/1.1 103 Early Hints\r\n"+lines(100)+"\r\n",
			30) + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false},
		{"body of lines", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n" + strings.Repeat("\n",
			4096) + "\r\n0\r\n\r\n", true},
		{"trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + lines(5000) + "\r\n", false},
	} {
		upstream := scripted(t, func(conn *net.TCPConn, _ int) {
			wire(conn, func(*http.Request, *bufio.Reader) {
				_, _ = io.WriteString(conn, test.answer)
				_ = conn.CloseWrite()
			})
		})
		if status, _, _, err := request(t, openPool(t, Options{}, upstream), "GET", ""); (err == nil &&
			status == 200) != test.good {
			t.Errorf("%s: %d %v", test.name, status, err)
		}
		if test.name == "trailers" {
			continue // they may reach a proxy's client in part
		}
		opts := Options{Proxy: func(*http.Request) (*url.URL, error) { return url.Parse(upstream) }}
		status, _, _, err := request(t, openPool(t, opts, upstream), "GET", "")
		if good := test.good || strings.Contains(test.name, "1xx") ||
			test.name == "folded"; (err == nil && status == 200) != good {
			t.Errorf("%s by way of a proxy: %d %v", test.name, status, err)
		}
	}
}

// Whatever a body is, it ends when it is closed: a Read fails at once, and does
// not return nothing for ever.
func TestReadAfterClose(t *testing.T) {
	for name, answer := range map[string]string{
		"of known length": "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nsome",
		"chunked":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n",
		"until the end":   "HTTP/1.1 200 OK\r\n\r\nsome",
	} {
		for _, when := range []string{"before", "during", "unread"} {
			upstream := scripted(t, func(conn *net.TCPConn, _ int) {
				wire(conn, func(*http.Request, *bufio.Reader) { _, _ = io.WriteString(conn, answer) })
			})
			p := openPool(t, Options{}, upstream)
			req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://any.example/v1/x", nil)
			res, _, err := p.Send(req, Route{})
			if err != nil {
				t.Fatal(err)
			}
			if when != "unread" {
				_, _ = io.ReadFull(res.Body, make([]byte, 4))
			}
			if when == "during" {
				time.AfterFunc(10*time.Millisecond, func() { res.Body.Close() })
			} else {
				res.Body.Close()
			}
			if _, err := io.Copy(io.Discard, res.Body); err == nil {
				t.Errorf("%s, %s: a closed body ends cleanly", name, when)
			}
			if n, err := res.Body.Read(make([]byte, 1)); n != 0 || err == nil || err == io.EOF {
				t.Errorf("%s, %s: read %d, %v", name, when, n, err)
			}
		}
	}
}

// A transport that is not ours may have bodies that give nothing for ever.
func TestBodyThatGivesNothing(t *testing.T) {
	p := openPool(t, Options{Transport: roundTripFunc(func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Request: req,
			Body: io.NopCloser(readerFunc(func([]byte) (int, error) { return 0, nil }))}, nil
	})}, "http://127.0.0.1:1")
	req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://any.example/v1/x", nil)
	res, _, err := p.Send(req, Route{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(res.Body); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("ReadAll: %v", err)
	}
	res.Body.Close()
	if _, err := res.Body.Read(make([]byte, 1)); err == nil {
		t.Error("a closed body can be read")
	}
}

// What stands on an idle connection unasked must not be taken for a response.
func TestStrayResponses(t *testing.T) {
	for _, stray := range []string{"", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"} {
		done := make(chan bool)
		url := scripted(t, func(conn *net.TCPConn, _ int) {
			for r := bufio.NewReader(conn); ; {
				req, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				body, _ := io.ReadAll(req.Body)
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+
					string(body))
				<-done // the client has it
				_, _ = io.WriteString(conn, stray)
				done <- true
			}
		})
		p := openPool(t, Options{}, url)
		for i := range 20 {
			body := strings.Repeat("b", i+1)
			if status, got, _, err := post(t, p, body); status != 200 || got != body || err != nil {
				t.Fatalf("got %d %q %v, want %q", status, got, err, body)
			}
			done <- true
			<-done
		}
	}
}

// A connection may die, or have something to say, between the moment at which it
// is taken and that at which a slow client's body is complete.
func TestClosedWhileTheBodyComes(t *testing.T) {
	for _, stray := range []string{"", "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"} {
		served, leave := 0, make(chan bool)
		url := scripted(t, func(conn *net.TCPConn, n int) {
			req, err := http.ReadRequest(bufio.NewReader(conn))
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			served++
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			if n == 0 {
				<-leave
				_, _ = io.WriteString(conn, stray)
				conn.Close()
				leave <- true
			}
		})
		p := openPool(t, Options{}, url)
		if status, _, _, err := post(t, p, "first"); status != 200 || err != nil {
			t.Fatalf("%d %v", status, err)
		}
		body := readerFunc(func(b []byte) (int, error) {
			leave <- true // once the upstream waits for it
			<-leave
			time.Sleep(time.Millisecond) // for the network
			return copy(b, "second"), io.EOF
		})
		req, err := http.NewRequestWithContext(t.Context(), "POST", "http://any.example/v1/x", body)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = int64(len("second"))
		res, sent, err := p.Send(req, Route{})
		if err != nil || res.StatusCode != 200 || sent.Attempts != 1 {
			t.Fatalf("stray %q: %v %v, %d attempts", stray, res, err, sent.Attempts)
		}
		res.Body.Close()
		if served != 2 {
			t.Errorf("stray %q: upstream served %d requests, want 2", stray, served)
		}
	}
}

// A readerFunc is a Reader that is a function.
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
