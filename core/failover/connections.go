package failover

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// connections are those to one upstream: HTTP/1.1 ones that are idle, and
// HTTP/2 ones, which take several requests at a time.
type connections struct {
	base    *url.URL
	address string // host and port
	heard   func()
	dialer  *net.Dialer
	tls     *tls.Config // nil for plain http
	proxy   func(*http.Request) (*url.URL, error)

	// net/http's: for what goes by way of a proxy, for WebSockets, for HTTP/2.
	any, http1, http2 *http.Transport

	instead http.RoundTripper // of connections of our own, or nil

	mu     sync.Mutex
	age    int     // counts up when all are left behind
	idle   []*conn // HTTP/1.1, the last one used last
	shared []*conn // HTTP/2
}

// A conn is a connection to an upstream.
type conn struct {
	owner  *connections
	own    *http1           // HTTP/1.1
	client *http.ClientConn // anything else; both are nil if there are only round trips
	socket *socket          // nil by way of a proxy
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
	cs.base, cs.address = u.base, net.JoinHostPort(u.base.Hostname(), port)
	cs.heard, cs.dialer, cs.proxy = u.silence.hear, newDialer(), opts.Proxy
	if cs.instead = opts.Transport; cs.instead != nil {
		return
	}
	config := tlsConfig(opts, u.base.Hostname())
	if u.base.Scheme == "https" {
		cs.tls = config
	}
	cs.any = newTransport(opts, config)
	cs.http1 = cs.any.Clone()
	onlyHTTP1(cs.http1)
	cs.http2 = handed(cs.any)
}

// take returns a connection on which a request may be sent at once, reserved
// for it, or nil. The request may need a protocol switch.
func (cs *connections) take(switches bool) *conn {
	if cs.instead != nil {
		return &conn{owner: cs}
	}
	for {
		c := cs.pick(switches)
		if c == nil || c.reserve() {
			return c
		}
		cs.drop(c) // closed meanwhile
	}
}

// pick returns a connection that looks usable, or nil. One of HTTP/1.1 goes out
// of the list.
func (cs *connections) pick(switches bool) *conn {
	cs.mu.Lock()
	stale := cs.prune()
	c := cs.last(switches)
	cs.mu.Unlock()
	closeAll(stale)
	return c
}

// atHand reports whether there is a connection that looks usable.
func (cs *connections) atHand() bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return len(cs.idle) > 0 || slices.ContainsFunc(cs.shared, func(c *conn) bool { return c.client.Available() > 0 })
}

// last returns the connection that was used last, of those that look usable.
func (cs *connections) last(switches bool) *conn {
	if !switches {
		for _, c := range cs.shared {
			if c.client.Available() > 0 {
				return c
			}
		}
	}
	n := len(cs.idle)
	for switches && n > 0 && cs.idle[n-1].own != nil {
		n-- // only net/http's can switch protocols
	}
	if n == 0 {
		return nil
	}
	c := cs.idle[n-1]
	cs.idle = slices.Delete(cs.idle, n-1, n)
	c.pooled = false
	return c
}

// connect makes a connection and reserves it for a request, which may need a
// protocol switch, that only net/http's do.
func (cs *connections) connect(ctx context.Context, switches bool) (*conn, error) {
	if cs.instead != nil {
		return &conn{owner: cs}, nil
	}
	c := &conn{owner: cs}
	cs.mu.Lock()
	c.age = cs.age
	cs.mu.Unlock()
	if switches {
		return c.borrow(ctx, cs.http1)
	}
	if proxied, err := cs.proxied(); err != nil {
		return nil, err
	} else if proxied {
		return c.borrow(ctx, cs.any)
	}
	s, err := dialSocket(ctx, cs.dialer, cs.address)
	if err != nil {
		return nil, err
	}
	s.heard = cs.heard
	c.socket = s
	if cs.tls == nil {
		c.own = newHTTP1(s, s, func() { cs.give(c) })
		return c, nil
	}
	secure := tls.Client(s, cs.tls)
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		s.Close()
		return nil, err
	}
	if secure.ConnectionState().NegotiatedProtocol == "h2" {
		return c.borrow(context.WithValue(ctx, handedKey{}, secure), cs.http2)
	}
	c.own = newHTTP1(secure, s, func() { cs.give(c) })
	return c, nil
}

// proxied reports whether the upstream is reached by way of a proxy.
func (cs *connections) proxied() (bool, error) {
	if cs.proxy == nil {
		return false, nil
	}
	proxy, err := cs.proxy(&http.Request{Method: http.MethodGet, URL: cs.base, Host: cs.base.Host})
	return proxy != nil, err
}

// borrow makes c a connection of net/http's, reserves it and returns it.
func (c *conn) borrow(ctx context.Context, from *http.Transport) (*conn, error) {
	client, err := from.NewClientConn(ctx, c.owner.base.Scheme, c.owner.address)
	if err != nil {
		return nil, err
	}
	c.client, c.http2 = client, client.Available() > 1
	if err := client.Reserve(); err != nil {
		client.Close()
		return nil, err
	}
	client.SetStateHook(func(*http.ClientConn) { c.owner.settle(c) })
	if c.http2 {
		c.owner.settle(c)
	}
	return c, nil
}

// give takes back an HTTP/1.1 connection that can take another request.
func (cs *connections) give(c *conn) {
	cs.mu.Lock()
	var surplus []*conn
	switch {
	case c.held:
	case c.age != cs.age:
		surplus = []*conn{c}
	default:
		c.pooled, c.idleSince = true, time.Now()
		cs.idle = append(cs.idle, c)
		surplus = cs.prune()
	}
	cs.mu.Unlock()
	closeAll(surplus)
}

// settle puts a connection of net/http's where its state wants it: into the lists if it can
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
		c.close()
	}
}

// close closes the connection.
func (c *conn) close() {
	switch {
	case c.own != nil:
		c.own.conn.Close()
	case c.client != nil:
		c.client.Close()
	}
}

// drop closes c.
func (cs *connections) drop(c *conn) {
	cs.mu.Lock()
	cs.remove(c)
	cs.mu.Unlock()
	c.close()
}

// reserve reports whether c, taken out of the lists, can take a request.
func (c *conn) reserve() bool {
	switch {
	case c.own != nil:
		return c.socket.usable()
	case c.client != nil:
		return c.client.Reserve() == nil
	}
	return true
}

// hold keeps c out of the lists, or ends that.
func (c *conn) hold(held bool) {
	c.owner.mu.Lock()
	defer c.owner.mu.Unlock()
	c.held = held
}

// release gives back a connection that was reserved and not used.
func (c *conn) release() {
	switch {
	case c.own != nil:
		c.owner.give(c)
	case c.client != nil:
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
	switch {
	case c.own != nil:
		return c.own.roundTrip(req)
	case c.client != nil:
		if c.socket != nil {
			c.socket.arm()
		}
		return c.client.RoundTrip(req)
	}
	return c.owner.instead.RoundTrip(req)
}

// unsent reports whether, after a round trip that failed, nothing of its
// request was written. Where only net/http knows, it goes by the header that
// was or was not written.
func (c *conn) unsent(wroteHeader bool) bool {
	if c.own != nil {
		return !c.own.wrote.Load()
	}
	return !wroteHeader
}
