package failover

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
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
	busy      bool // an HTTP/1 round trip of net/http's has not got its header yet
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
	case usable && !c.pooled && !c.held && !c.busy:
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
		if !c.http2 {
			return c.roundTripHTTP1(plainly(req))
		}
		return c.client.RoundTrip(plainly(req))
	}
	return c.owner.instead.RoundTrip(plainly(req))
}

// plainly returns req without an expectation that is not to be sent, which
// net/http would send. See [expectsContinue].
func plainly(req *http.Request) *http.Request {
	for name := range req.Header {
		if isExpect(name) && (req.Body == nil || !expectsContinue(req.Header)) {
			out := *req
			out.Header = make(http.Header, len(req.Header))
			for name, values := range req.Header {
				if !isExpect(name) {
					out.Header[name] = values
				}
			}
			return &out
		}
	}
	return req
}

// roundTripHTTP1 sends req over a connection of net/http's that speaks HTTP/1.1.
// net/http would let it take another request where ours may not: see
// [exchange.mayReuse].
func (c *conn) roundTripHTTP1(req *http.Request) (*http.Response, error) {
	var sent *sentBody
	if req.Body != nil {
		sent = &sentBody{ReadCloser: req.Body}
		out := *req
		out.Body = sent
		req = &out
	}
	c.setBusy(true)
	res, err := c.client.RoundTrip(req)
	early := sent != nil && !sent.ended.Load()
	if err != nil || early || sent != nil && expectsContinue(req.Header) || res.ProtoMinor == 0 || announcesBody(res) {
		c.retire()
	}
	c.setBusy(false)
	c.owner.settle(c)
	return res, err
}

// A sentBody is a request's body that knows whether it was read to its end.
type sentBody struct {
	io.ReadCloser
	ended atomic.Bool
}

func (b *sentBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.ended.Store(true)
	}
	return n, err
}

// setBusy keeps a connection of net/http's out of the lists until the header of
// its response is judged, or ends that: net/http gives it back before.
func (c *conn) setBusy(busy bool) {
	c.owner.mu.Lock()
	defer c.owner.mu.Unlock()
	c.busy = busy
}

// retire lets c take no other request.
func (c *conn) retire() {
	c.owner.mu.Lock()
	defer c.owner.mu.Unlock()
	c.age = retired
}

// retired is the age of a connection that is to take no other request: none
// that owner ever has.
const retired = -1

// unsent reports whether, after a round trip that failed, nothing of its
// request was written. Where only net/http knows, it goes by the header that
// was or was not written.
func (c *conn) unsent(wroteHeader bool) bool {
	if c.own != nil {
		return !c.own.wrote.Load()
	}
	return !wroteHeader
}
