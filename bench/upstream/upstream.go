// Package upstream is a scripted upstream for benchmarks: it answers a few
// calls with bytes that were made beforehand, and does nothing else, so that it
// costs little. Tests of behaviour use the fake in internal/relaytest.
package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"example.com/relay/bench/wire"
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
	u := &Upstream{ln: ln, conns: make(map[net.Conn]bool)}
	u.wg.Go(u.accept)
	return u, nil
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
		a := answers[string(target)] // the conversion does not allocate
		isCount := string(target) == connections.Target
		if _, err := r.Discard(); err != nil {
			return
		}
		switch {
		case isCount:
			_, err = fmt.Fprintf(conn, "HTTP/1.1 200 %d\r\nContent-Length: 0\r\n\r\n", u.accepted.Load())
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

// write writes the answer and returns its buffer for the next one.
func (a *answer) write(conn net.Conn, r *wire.Reader, buf []byte) ([]byte, error) {
	if _, err := conn.Write(a.head); err != nil || a.count == 0 {
		return buf, err
	}
	next := time.Now()
	for i := range a.count {
		if a.gap > 0 && i > 0 {
			next = next.Add(a.gap)
			if time.Until(next) < a.gap/2 { // no burst after a stall of this process: it would look like the relay's
				next = time.Now().Add(a.gap)
			}
			time.Sleep(time.Until(next))
		}
		buf = appendEvent(buf[:0], time.Now())
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

// errCut ends a connection on purpose.
var errCut = errors.New("cut")

// targetOf returns the target of a request line.
func targetOf(line []byte) []byte {
	_, rest, _ := bytes.Cut(line, []byte(" "))
	target, _, _ := bytes.Cut(rest, []byte(" "))
	return target
}

// Connections returns how many connections the upstream at addr has had so
// far, that of this question among them.
func Connections(addr string) (int, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Write(connections.Request(addr)); err != nil {
		return 0, err
	}
	head, err := wire.NewReader(conn).ReadHead()
	if err != nil {
		return 0, err
	}
	var n int
	if _, err := fmt.Sscanf(string(head.Start), "HTTP/1.1 200 %d", &n); err != nil {
		return 0, fmt.Errorf("%q: %w", head.Start, err)
	}
	return n, nil
}
