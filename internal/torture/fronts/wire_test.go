package fronts

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A rawConn is a connection to read and write raw bytes on.
type rawConn struct {
	*net.TCPConn
	*bufio.Reader
}

func newRawConn(conn net.Conn) rawConn { return rawConn{conn.(*net.TCPConn), bufio.NewReader(conn)} }

func (c rawConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

func (c rawConn) WriteTo(out io.Writer) (int64, error) { return c.Reader.WriteTo(out) }

// say writes s; the peer may have closed the connection before it has read all of it.
func (c rawConn) say(s string) { _, _ = io.WriteString(c.TCPConn, s) }

// rst closes the connection by a reset.
func (c rawConn) rst() {
	_ = c.SetLinger(0)
	c.Close()
}

// A wire is a client's connection.
type wire struct {
	rawConn
	r *rig
}

// dial connects to the front. A row that hangs fails by itself.
func (r *rig) dial() *wire {
	r.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.base, "http://"))
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
	return &wire{newRawConn(conn), r}
}

// response reads the response to a request with that method.
func (w *wire) response(method string) response {
	res, err := http.ReadResponse(w.Reader, &http.Request{Method: method})
	if err != nil {
		return response{err: err}
	}
	return w.r.read(res)
}

// raw sends raw bytes and returns the first response.
func (r *rig) raw(s string) response {
	r.Helper()
	w := r.dial()
	defer w.Close()
	w.say(s)
	method, _, _ := strings.Cut(s, " ")
	return w.response(method)
}

// canaries are the headers of a client that is admitted.
const canaries = "Host: 127.0.0.1\r\nAuthorization: Bearer " + canaryKey + "\r\nX-Relay-Token: " + canaryToken + "\r\n"

// upgrade are the headers of a WebSocket's handshake.
const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// post returns the bytes of a POST with that body.
func post(path, body string, headers ...string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\n%s%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path,
		canaries, strings.Join(headers, ""), len(body), body)
}

// A script is an upstream of raw bytes.
type script struct {
	URL      string
	requests atomic.Int64
	conns    atomic.Int64
	last     atomic.Pointer[turn] // that a request came over
}

// A turn is a connection to a scripted upstream.
type turn struct {
	rawConn
	s *script
	n int64 // counts connections from 1
}

// request reads a request to its end, counts it, and returns its body.
func (c *turn) request() (*http.Request, string, error) {
	req, err := http.ReadRequest(c.Reader)
	if err != nil {
		return nil, "", err
	}
	c.s.requests.Add(1)
	c.s.last.Store(c)
	body, err := io.ReadAll(req.Body)
	return req, string(body), err
}

// scripted serves connections by a function, until the test ends.
func scripted(t testing.TB, serve func(c *turn)) *script {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &script{URL: "http://" + ln.Addr().String()}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				stop := time.AfterFunc(2*time.Minute, func() { conn.Close() })
				defer stop.Stop()
				serve(&turn{newRawConn(conn), s, s.conns.Add(1)})
			}()
		}
	}()
	return s
}

// responding is scripted: every request gets the same bytes, and the connection
// is closed if last says so.
func responding(t testing.TB, bytes string, last bool) *script {
	return scripted(t, func(c *turn) {
		for {
			if _, _, err := c.request(); err != nil {
				return
			}
			c.say(bytes)
			if last {
				return
			}
		}
	})
}

// An ender is an upstream whose connections can be ended while they are idle.
type ender struct {
	*script
	mu    sync.Mutex
	conns map[*turn]chan bool // closed when the connection is
}

// ending responds to every request with an empty object.
func ending(t testing.TB) *ender {
	e := &ender{conns: make(map[*turn]chan bool)}
	e.script = scripted(t, func(c *turn) {
		closed := make(chan bool)
		defer close(closed)
		e.mu.Lock()
		e.conns[c] = closed
		e.mu.Unlock()
		for {
			if _, _, err := c.request(); err != nil {
				return
			}
			c.say("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
		}
	})
	return e
}

// end ends all connections, and returns when the other side can know. A connection
// that is being read is closed only when the read returns.
func (e *ender) end(t testing.TB, how func(*turn)) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	for c, closed := range e.conns {
		how(c)
		<-closed
		awaitEnd(t, c.TCPConn)
	}
	clear(e.conns)
}

// awaitEnd waits until the system has told the peer of conn, which is on this machine,
// that conn is closed: a busy one may be late with that.
func awaitEnd(t testing.TB, conn net.Conn) {
	t.Helper()
	port := func(addr net.Addr) int { return addr.(*net.TCPAddr).Port }
	// Of the peer's socket: its address, conn's, and TCP_ESTABLISHED.
	open := regexp.MustCompile(fmt.Sprintf(`: [0-9A-F]+:%04X [0-9A-F]+:%04X 01 `, port(conn.RemoteAddr()),
		port(conn.LocalAddr())))
	ended := func() bool {
		sockets, _ := os.ReadFile("/proc/net/tcp")
		sockets6, _ := os.ReadFile("/proc/net/tcp6")
		return !open.Match(append(sockets, sockets6...))
	}
	if !eventually(10*time.Second, ended) {
		t.Fatalf("the peer of %v does not know that it is closed", conn.LocalAddr())
	}
}

// hangUp closes a connection with a FIN.
func hangUp(c *turn) { c.Close() }

// A flood is an upstream whose responses are larger than any buffer.
type flood struct {
	*script
	left atomic.Int64 // responses that were not read to their end
}

// flooding responds to every request with n bytes.
func flooding(t testing.TB, contentType string, n int) *flood {
	f := new(flood)
	block := []byte(strings.Repeat("data: 0123456789abcdef\n\n", 1000))
	f.script = scripted(t, func(c *turn) {
		for {
			if _, _, err := c.request(); err != nil {
				return
			}
			c.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", contentType, n))
			for left := n; left > 0; left -= len(block) {
				if _, err := c.Write(block[:min(left, len(block))]); err != nil {
					f.left.Add(1)
					return
				}
			}
		}
	})
	return f
}

// wantLeft waits until n responses have been abandoned.
func (f *flood) wantLeft(t testing.TB, n int) {
	t.Helper()
	if !eventually(20*time.Second, func() bool { return f.left.Load() >= int64(n) }) {
		t.Errorf("%d responses were abandoned, want %d", f.left.Load(), n)
	}
}
