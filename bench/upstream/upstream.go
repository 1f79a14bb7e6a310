// Package upstream is a scripted upstream for benchmarks: it answers a few
// calls with bytes that were made beforehand, and does nothing else, so that it
// costs little. Tests of behaviour use the fake in internal/fakeopenai.
package upstream

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"example.com/relay/internal/load/wire"
)

// An Upstream serves the calls of this package on a loopback address.
type Upstream struct {
	ln       net.Listener
	accepted atomic.Int64

	mu    sync.Mutex
	conns map[net.Conn]bool // nil when closed
	wg    sync.WaitGroup
}

// Start returns an upstream on a free port of 127.0.0.1. It must be closed.
func Start() (*Upstream, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return on(ln), nil
}

// StartTLS returns an upstream like that of [Start] that speaks HTTP/1.1 over
// TLS, and nothing else.
func StartTLS(cert tls.Certificate) (*Upstream, error) {
	ln, err := tls.Listen("tcp", "127.0.0.1:0",
		&tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}})
	if err != nil {
		return nil, err
	}
	return on(ln), nil
}

func on(ln net.Listener) *Upstream {
	u := &Upstream{ln: ln, conns: make(map[net.Conn]bool)}
	u.wg.Go(u.accept)
	return u
}

// Addr returns the host and port of the upstream.
func (u *Upstream) Addr() string { return u.ln.Addr().String() }

// Close ends all connections and waits for them.
func (u *Upstream) Close() {
	_ = u.ln.Close()
	u.mu.Lock()
	for conn := range u.conns {
		_ = conn.Close()
	}
	u.conns = nil
	u.mu.Unlock()
	u.wg.Wait()
}

func (u *Upstream) accept() {
	for {
		conn, err := u.ln.Accept()
		if err != nil {
			return
		}
		if !u.enter(conn) {
			_ = conn.Close()
			return
		}
		u.accepted.Add(1)
		u.wg.Go(func() {
			defer u.leave(conn)
			u.serve(conn)
		})
	}
}

// enter reports whether conn may be served, which it may not after Close.
func (u *Upstream) enter(conn net.Conn) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.conns == nil {
		return false
	}
	u.conns[conn] = true
	return true
}

func (u *Upstream) leave(conn net.Conn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.conns, conn)
	_ = conn.Close()
}

// serve answers the requests of conn until one side has had enough.
func (u *Upstream) serve(conn net.Conn) {
	r := wire.NewReader(conn)
	var events []byte
	for {
		head, err := r.ReadHead()
		if err != nil {
			return
		}
		target := targetOf(head.Start)
		a := responses[string(target)] // the conversion does not allocate
		isCount := string(target) == connections.Target
		if _, err := r.Discard(); err != nil {
			return
		}
		switch {
		case isCount:
			n := strconv.FormatInt(u.accepted.Load(), 10)
			_, err = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(n), n)
		case a == nil:
			_, err = conn.Write([]byte(notFound))
		default:
			events, err = a.write(conn, r, events)
		}
		if err != nil {
			return
		}
	}
}

// write writes the response and returns its buffer for the next one.
func (a *response) write(conn net.Conn, r *wire.Reader, buf []byte) ([]byte, error) {
	if _, err := conn.Write(a.head); err != nil || a.count == 0 {
		return buf, err
	}
	next := time.Now()
	for i := range a.count {
		if a.gap > 0 && i > 0 {
			next = a.pause(next, i)
		}
		buf = appendEvent(buf[:0], time.Now(), i)
		if _, err := conn.Write(buf); err != nil {
			return buf, err
		}
	}
	if a.cut {
		return buf, errCut
	}
	if a.hold {
		_, err := r.ReadHead() // which is the client's going
		return buf, err
	}
	_, err := conn.Write([]byte(lastChunk))
	return buf, err
}

// pause waits until event i is due, the one before having been due at last, and
// returns when that was.
func (a *response) pause(last time.Time, i int) time.Time {
	next := last.Add(a.gap)
	if a.apart && i == 1 {
		next = last.Add(rand.N(a.gap))
		time.Sleep(time.Until(next))
		return next
	}
	if time.Until(next) < a.gap/2 { // no burst after a stall of this process: it would look like the relay's
		next = time.Now().Add(a.gap)
	}
	time.Sleep(time.Until(next))
	return next
}

// errCut ends a connection on purpose.
var errCut = errors.New("cut")

// targetOf returns the target of a request line.
func targetOf(line []byte) []byte {
	_, rest, _ := bytes.Cut(line, []byte(" "))
	target, _, _ := bytes.Cut(rest, []byte(" "))
	return target
}

// Connections returns how many connections the upstream with a base URL has had
// so far, that of this question among them. It trusts any certificate.
func Connections(base string) (int, error) {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
	}}
	res, err := client.Get(base + connections.Target)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 32))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(b))
}
