package failover

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// connections are those to one upstream: HTTP/1.1 ones that are idle, and
// HTTP/2 ones, which take several requests at a time.
type connections struct {
	scheme, address string
	heard           func()
	any, http1      *http.Transport   // http1 for what HTTP/2 has not, WebSockets
	instead         http.RoundTripper // of connections of our own, or nil

	mu     sync.Mutex
	age    int     // counts up when all are left behind
	idle   []*conn // HTTP/1.1, the last one used last
	shared []*conn // HTTP/2
}

// A conn is a connection to an upstream.
type conn struct {
	owner  *connections
	client *http.ClientConn // nil if there are only round trips
	socket *socket
	http2  bool
	age    int

	// Guarded by owner.mu:
	held      bool // somebody is about to reserve it
	pooled    bool // it is in owner's lists
	idleSince time.Time
}

func (cs *connections) open(u *upstream, opts Options) {
	port := u.base.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.base.Scheme]
	}
	cs.scheme, cs.address = u.base.Scheme, net.JoinHostPort(u.base.Hostname(), port)
	cs.heard = u.silence.hear
	if cs.instead = opts.Transport; cs.instead != nil {
		return
	}
	cs.any = newTransport(opts)
	cs.http1 = cs.any.Clone()
	onlyHTTP1(cs.http1)
}

// take returns a connection on which a request may be sent at once, reserved
// for it, or nil.
func (cs *connections) take(http1 bool) *conn {
	if cs.instead != nil {
		return &conn{owner: cs}
	}
	for {
		c := cs.pick(http1)
		if c == nil || c.client.Reserve() == nil {
			return c
		}
		cs.drop(c) // closed meanwhile
	}
}

// pick returns a connection that looks usable, or nil. One of HTTP/1.1 goes out
// of the list.
func (cs *connections) pick(http1 bool) *conn {
	cs.mu.Lock()
	stale := cs.prune()
	c := cs.last(http1)
	cs.mu.Unlock()
	closeAll(stale)
	return c
}

// last returns the connection that was used last, of those that look usable.
func (cs *connections) last(http1 bool) *conn {
	if !http1 {
		for _, c := range cs.shared {
			if c.client.Available() > 0 {
				return c
			}
		}
	}
	n := len(cs.idle)
	if n == 0 {
		return nil
	}
	c := cs.idle[n-1]
	cs.idle[n-1] = nil
	cs.idle = cs.idle[:n-1]
	c.pooled = false
	return c
}

// connect makes a connection and reserves it for a request.
func (cs *connections) connect(ctx context.Context, http1 bool) (*conn, error) {
	if cs.instead != nil {
		return &conn{owner: cs}, nil
	}
	cs.mu.Lock()
	age := cs.age
	cs.mu.Unlock()
	transport := cs.any
	if http1 {
		transport = cs.http1
	}
	s := &socket{secure: cs.scheme == "https", heard: cs.heard}
	client, err := transport.NewClientConn(context.WithValue(ctx, socketKey{}, s), cs.scheme, cs.address)
	if err != nil {
		return nil, err
	}
	c := &conn{owner: cs, client: client, socket: s, http2: client.Available() > 1, age: age}
	if err := client.Reserve(); err != nil {
		client.Close()
		return nil, err
	}
	client.SetStateHook(func(*http.ClientConn) { cs.settle(c) })
	if c.http2 {
		cs.settle(c)
	}
	return c, nil
}

// settle puts a connection where its state wants it: into the lists if it can
// take a request, or nowhere if it is closed or left behind. It is called when
// that changes, by net/http too, and closes what is too much.
func (cs *connections) settle(c *conn) {
	closeAll(cs.place(c))
}

// place does that under the lock, and returns the connections to close outside
// of it: closing one settles it.
func (cs *connections) place(c *conn) (surplus []*conn) {
	usable, closed := c.client.Available() > 0, c.client.Err() != nil
	cs.mu.Lock()
	defer cs.mu.Unlock()
	switch {
	case closed:
		cs.remove(c)
	case c.age != cs.age:
		cs.remove(c)
		if c.client.InFlight() == 0 {
			return []*conn{c}
		}
	case c.http2:
		if !c.pooled {
			c.pooled = true
			cs.shared = append(cs.shared, c)
		}
		if cs.superfluous(c) {
			cs.remove(c)
			return []*conn{c}
		}
	case usable && !c.pooled && !c.held:
		c.pooled, c.idleSince = true, time.Now()
		cs.idle = append(cs.idle, c)
		return cs.prune()
	}
	return nil
}

// prune takes out what has been idle for long, and what is too much. The
// longest idle stand first.
func (cs *connections) prune() (out []*conn) {
	n := max(0, len(cs.idle)-maxIdle)
	for n < len(cs.idle) && time.Since(cs.idle[n].idleSince) >= idleFor {
		n++
	}
	for _, c := range cs.idle[:n] {
		c.pooled = false
		out = append(out, c)
	}
	cs.idle = slices.Delete(cs.idle, 0, n)
	return out
}

// superfluous reports whether c, of HTTP/2, has nothing to do while another has
// room: a burst at the start makes several.
func (cs *connections) superfluous(c *conn) bool {
	return c.client.InFlight() == 0 && slices.ContainsFunc(cs.shared, func(other *conn) bool {
		return other != c && other.client.Available() > 0
	})
}

// remove takes c out of the lists.
func (cs *connections) remove(c *conn) {
	if !c.pooled {
		return
	}
	c.pooled = false
	same := func(other *conn) bool { return other == c }
	cs.idle = slices.DeleteFunc(cs.idle, same)
	cs.shared = slices.DeleteFunc(cs.shared, same)
}

func closeAll(list []*conn) {
	for _, c := range list {
		c.client.Close()
	}
}

// drop closes c.
func (cs *connections) drop(c *conn) {
	if c.client == nil {
		return
	}
	cs.mu.Lock()
	cs.remove(c)
	cs.mu.Unlock()
	c.client.Close()
}

// hold keeps c out of the lists, or ends that.
func (c *conn) hold(held bool) {
	c.owner.mu.Lock()
	defer c.owner.mu.Unlock()
	c.held = held
}

// release gives back a connection that was reserved and not used.
func (c *conn) release() {
	if c.client != nil {
		c.client.Release()
		c.owner.settle(c)
	}
}

// leaveBehind lets no connection that exists take another request. Those in use
// finish what they do.
func (cs *connections) leaveBehind() {
	cs.mu.Lock()
	idle, shared := cs.idle, cs.shared
	cs.idle, cs.shared = nil, nil
	cs.age++
	for _, c := range slices.Concat(idle, shared) {
		c.pooled = false
	}
	cs.mu.Unlock()
	closeAll(idle)
	for _, c := range shared {
		if c.client.InFlight() == 0 {
			c.client.Close()
		}
	}
}

// roundTrip sends req over the connection.
func (c *conn) roundTrip(req *http.Request) (*http.Response, error) {
	if c.client == nil {
		return c.owner.instead.RoundTrip(req)
	}
	c.socket.arm()
	return c.client.RoundTrip(req)
}

// unsent reports whether, after a round trip that failed, nothing of its
// request was written. For HTTP/2, whose connection others write to as well, it
// goes by the header that was or was not written.
func (c *conn) unsent(wroteHeader bool) bool {
	if c.client == nil || c.http2 || c.socket.TCPConn == nil {
		return !wroteHeader
	}
	// Closed, nothing can be written to it any more, so this is the last word.
	c.client.Close()
	return !c.socket.wrote.Load()
}
