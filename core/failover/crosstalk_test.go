package failover

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Whatever upstreams and clients do to the framing of messages, nobody gets the
// response to another's request.
func TestNoCrossTalk(t *testing.T) {
	n := 3000
	if testing.Short() {
		n = 600
	}
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			url := scripted(t, func(conn *net.TCPConn, _ int) {
				if scheme == "http" {
					oddly(conn)
					return
				}
				oddly(tls.Server(conn, &tls.Config{Certificates: certified.TLS.Certificates}))
			})
			url = scheme + strings.TrimPrefix(url, "http")
			config := trusting(certified)
			config.ServerName = "example.com"
			p := openPool(t, Options{TLS: config, HTTP: HTTP1}, url)
			var wait sync.WaitGroup
			var whole atomic.Int32
			ids := make(chan int)
			for range 16 {
				wait.Go(func() {
					for id := range ids {
						if exchangeID(t, p, id) {
							whole.Add(1)
						}
					}
				})
			}
			for id := range n {
				ids <- id
			}
			close(ids)
			wait.Wait()
			if got := int(whole.Load()); got < n/2 {
				t.Errorf("%d of %d requests had a whole response: the test shows little", got, n)
			}
		})
	}
}

// exchangeID sends the request of that id and reports whether it had a whole response,
// which must be its own.
func exchangeID(t *testing.T, p *Pool, id int) bool {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	body := io.Reader(strings.NewReader(strconv.Itoa(id)))
	if id%3 == 0 {
		body = io.MultiReader(body) // of unknown length
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://any.example/v1/"+strconv.Itoa(id), body)
	if err != nil {
		t.Error(err)
		return false
	}
	res, err := p.RoundTrip(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	if got := res.Header.Get("X-Id"); got != strconv.Itoa(id) {
		t.Errorf("request %d got the response to %q", id, got)
	}
	if id%11 == 0 {
		cancel()
	}
	got, err := io.ReadAll(res.Body)
	if err != nil || id%11 == 0 {
		return false
	}
	if want := strings.Repeat(strconv.Itoa(id)+" ", 50); string(got) != want && res.StatusCode != http.StatusNoContent {
		t.Errorf("request %d got %.40q", id, got)
	}
	return true
}

// oddly serves a connection in ways that leave clients in doubt where a message
// ends.
func oddly(conn net.Conn) {
	for r := bufio.NewReader(conn); ; {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		id := strings.TrimPrefix(req.URL.Path, "/v1/")
		number, _ := strconv.Atoi(id)
		text := strings.Repeat(id+" ", 50)
		head := "HTTP/1.1 200 OK\r\nX-Id: " + id + "\r\n"
		if number%7 != 2 { // or it responds before it has read the body
			_, _ = io.Copy(io.Discard, req.Body)
		}
		switch number % 7 {
		case 0:
			_, _ = fmt.Fprintf(conn, "%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", head, len(text), text)
		case 1: // the next response, unasked
			_, _ = fmt.Fprintf(conn,
				"%sContent-Length: %d\r\n\r\n%sHTTP/1.1 200 OK\r\nX-Id: poison\r\nContent-Length: 0\r\n\r\n", head,
				len(text), text)
			return
		case 3: // a body where there is none
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 204 No Content\r\nX-Id: %s\r\nContent-Length: 6\r\n\r\npoison", id)
			return
		case 4: // informational ones first
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 103 Early Hints\r\nX-Id: poison\r\n\r\n%sContent-Length: %d\r\n\r\n%s",
				head, len(text), text)
		case 5: // two lengths
			_, _ = fmt.Fprintf(conn, "%sTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n%x\r\n%s\r\n0\r\n\r\n",
				head, len(text), text)
		default:
			_, _ = fmt.Fprintf(conn, "%sContent-Length: %d\r\n\r\n%s", head, len(text), text)
			_, _ = io.Copy(io.Discard, req.Body)
		}
	}
}
