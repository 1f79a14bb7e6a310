package conn

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

// Options say how to connect to an upstream.
type Options struct {
	// Base is the upstream's base URL: its scheme and host count.
	Base *url.URL

	// TLS is the configuration of TLS. If nil, the system's roots and TLS 1.2 or
	// later.
	TLS *tls.Config

	// HTTP1 keeps connections to HTTP/1.1.
	HTTP1 bool

	// Proxy returns the proxy for a request, as [http.Transport]'s does. If nil,
	// there is none.
	Proxy func(*http.Request) (*url.URL, error)

	// Transport, if not nil, sends the requests instead of connections of the
	// set's own.
	Transport http.RoundTripper

	// Heard is called when bytes were read from any connection, by many
	// goroutines. It must not block.
	Heard func()
}

// A Set is the connections to one upstream: HTTP/1.1 ones that are idle, and
// HTTP/2 ones, which take several requests at a time. It is safe for concurrent
// use.
type Set struct {
	// These are set by NewSet and not changed after it.
	base      *url.URL
	address   string // host and port
	heard     func()
	dialer    *net.Dialer
	tls       *tls.Config // nil for plain http
	proxy     func(*http.Request) (*url.URL, error)
	transport http.RoundTripper // instead of connections; or nil

	// net/http's: by way of a proxy, for protocol switches, for HTTP/2.
	proxied, switching, http2 *http.Transport

	mu         sync.Mutex // guards what follows, and the fields of each Conn that say so
	generation int        // counts up when all connections are retired
	idle       []*Conn    // HTTP/1.1, the last one used last
	shared     []*Conn    // HTTP/2
}

// NewSet returns the connections to an upstream, of which there are none yet.
func NewSet(opts Options) *Set {
	s := &Set{base: opts.Base, heard: opts.Heard, dialer: newDialer(), proxy: opts.Proxy, transport: opts.Transport}
	port := opts.Base.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[opts.Base.Scheme]
	}
	s.address = net.JoinHostPort(opts.Base.Hostname(), port)
	if s.transport != nil {
		return s
	}
	config := tlsConfig(opts)
	if opts.Base.Scheme == "https" {
		s.tls = config
	}
	s.proxied = newTransport(opts, config)
	s.switching = s.proxied.Clone()
	onlyHTTP1(s.switching)
	s.http2 = handed(s.proxied)
	return s
}

// A Conn is a connection to an upstream.
type Conn struct {
	set        *Set
	client     client
	socket     *socket // nil by way of a proxy, or of a transport of the caller's
	http2      bool
	switches   bool // can switch protocols
	generation int

	// Guarded by set.mu:
	held      bool // kept out of the lists, see Hold
	pooled    bool // in the set's lists
	idleSince time.Time
}

// Take returns a connection that is established, reserved for a request, or nil.
// The request may need a switch of protocols.
func (s *Set) Take(switches bool) *Conn {
	if s.transport != nil {
		return &Conn{set: s, client: transportClient{s.transport}}
	}
	for {
		c := s.pick(switches)
		if c == nil || c.client.Reserve() == nil {
			return c
		}
		s.Drop(c) // closed meanwhile
	}
}

// pick returns a connection that looks usable, or nil. One of HTTP/1.1 is
// removed from the list.
func (s *Set) pick(switches bool) *Conn {
	s.mu.Lock()
	surplus := s.prune()
	c := s.lastUsed(switches)
	s.mu.Unlock()
	closeAll(surplus)
	return c
}

// lastUsed returns the connection that was used last, of those that look usable.
// It is called with mu held.
func (s *Set) lastUsed(switches bool) *Conn {
	if !switches {
		for _, c := range s.shared {
			if c.client.Available() > 0 {
				return c
			}
		}
	}
	n := len(s.idle)
	for switches && n > 0 && !s.idle[n-1].switches {
		n--
	}
	if n == 0 {
		return nil
	}
	c := s.idle[n-1]
	s.idle = slices.Delete(s.idle, n-1, n)
	c.pooled = false
	return c
}

// AtHand reports whether there is a connection that looks usable.
func (s *Set) AtHand() bool {
	if s.transport != nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.idle) > 0 || slices.ContainsFunc(s.shared, func(c *Conn) bool { return c.client.Available() > 0 })
}

// Connect returns a new connection, reserved for a request, which may need a
// switch of protocols. Which client carries it is decided here: net/http's for
// switches, proxies and HTTP/2, our own for anything else.
func (s *Set) Connect(ctx context.Context, switches bool) (*Conn, error) {
	return s.connect(ctx, &Conn{set: s}, switches)
}

// ConnectHeld is Connect for a connection that is held from the start, so that no
// other request gets it.
func (s *Set) ConnectHeld(ctx context.Context) (*Conn, error) {
	return s.connect(ctx, &Conn{set: s, held: true}, false)
}

func (s *Set) connect(ctx context.Context, c *Conn, switches bool) (*Conn, error) {
	if s.transport != nil {
		c.client = transportClient{s.transport}
		return c, nil
	}
	s.mu.Lock()
	c.generation = s.generation
	s.mu.Unlock()
	if switches {
		return c.useNet(ctx, s.switching)
	}
	if proxied, err := s.isProxied(); err != nil {
		return nil, err
	} else if proxied {
		return c.useNet(ctx, s.proxied)
	}
	socket, err := dialSocket(ctx, s.dialer, s.address)
	if err != nil {
		return nil, err
	}
	socket.heard = s.heard
	c.socket = socket
	if s.tls == nil {
		return c.useOwn(socket), nil
	}
	secure := tls.Client(socket, s.tls)
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		socket.Close()
		return nil, err
	}
	if secure.ConnectionState().NegotiatedProtocol == "h2" {
		return c.useNet(context.WithValue(ctx, handedKey{}, secure), s.http2)
	}
	return c.useOwn(secure), nil
}

// useOwn makes our own client carry c, over conn: its socket, or TLS over it.
func (c *Conn) useOwn(conn net.Conn) *Conn {
	c.client = newHTTP1(conn, c.socket, func() { c.set.update(c) })
	return c
}

// useNet makes net/http's client carry c.
func (c *Conn) useNet(ctx context.Context, transport *http.Transport) (*Conn, error) {
	cc, err := transport.NewClientConn(ctx, c.set.base.Scheme, c.set.address)
	if err != nil {
		return nil, err
	}
	nc := &netClient{ClientConn: cc, socket: c.socket, http2: cc.Available() > 1, changed: func() { c.set.update(c) }}
	if err := cc.Reserve(); err != nil {
		cc.Close()
		return nil, err
	}
	c.client, c.http2, c.switches = nc, nc.http2, true
	cc.SetStateHook(func(*http.ClientConn) { nc.settle() })
	if c.http2 {
		c.set.update(c)
	}
	return c, nil
}

// isProxied reports whether the upstream is reached by way of a proxy.
func (s *Set) isProxied() (bool, error) {
	if s.proxy == nil {
		return false, nil
	}
	proxy, err := s.proxy(&http.Request{Method: http.MethodGet, URL: s.base, Host: s.base.Host})
	return proxy != nil, err
}

// update puts c where its state wants it: into the lists if it can take a
// request, or nowhere if it is closed or retired. It closes connections that are
// no longer needed, outside of the lock: closing one updates it.
func (s *Set) update(c *Conn) {
	s.mu.Lock()
	surplus := s.place(c)
	s.mu.Unlock()
	closeAll(surplus)
}

// place does that with mu held, and returns the connections to close.
func (s *Set) place(c *Conn) (surplus []*Conn) {
	switch {
	case c.client.Err() != nil:
		s.remove(c)
	case c.generation != s.generation && c.held:
	case c.generation != s.generation:
		s.remove(c)
		if c.client.InFlight() == 0 {
			return []*Conn{c}
		}
	case c.http2 && c.held:
		s.remove(c)
	case c.http2:
		if !c.pooled {
			c.pooled = true
			s.shared = append(s.shared, c)
		}
		if s.isSuperfluous(c) {
			s.remove(c)
			return []*Conn{c}
		}
	case c.client.Available() > 0 && !c.pooled && !c.held:
		c.pooled, c.idleSince = true, time.Now()
		s.idle = append(s.idle, c)
		return s.prune()
	}
	return nil
}

// prune removes connections that have been idle for too long, and those that are
// too many. The longest idle come first. It is called with mu held.
func (s *Set) prune() (surplus []*Conn) {
	n := max(0, len(s.idle)-maxIdle)
	for n < len(s.idle) && time.Since(s.idle[n].idleSince) >= idleTimeout {
		n++
	}
	for _, c := range s.idle[:n] {
		c.pooled = false
		surplus = append(surplus, c)
	}
	s.idle = slices.Delete(s.idle, 0, n)
	return surplus
}

// isSuperfluous reports whether c, of HTTP/2, has nothing to do while another has
// room: a burst at the start makes several.
func (s *Set) isSuperfluous(c *Conn) bool {
	return c.client.InFlight() == 0 && slices.ContainsFunc(s.shared, func(other *Conn) bool {
		return other != c && other.client.Available() > 0
	})
}

// remove removes c from the lists. It is called with mu held.
func (s *Set) remove(c *Conn) {
	if !c.pooled {
		return
	}
	c.pooled = false
	same := func(other *Conn) bool { return other == c }
	s.idle = slices.DeleteFunc(s.idle, same)
	s.shared = slices.DeleteFunc(s.shared, same)
}

func closeAll(list []*Conn) {
	for _, c := range list {
		c.client.Close()
	}
}

// Drop closes c.
func (s *Set) Drop(c *Conn) {
	s.mu.Lock()
	s.remove(c)
	s.mu.Unlock()
	c.client.Close()
}

// RetireAll lets no connection that exists take another request. Those in use
// finish what they do.
func (s *Set) RetireAll() {
	s.mu.Lock()
	idle, shared := s.idle, s.shared
	s.idle, s.shared = nil, nil
	s.generation++
	for _, c := range slices.Concat(idle, shared) {
		c.pooled = false
	}
	s.mu.Unlock()
	closeAll(idle)
	for _, c := range shared {
		if c.client.InFlight() == 0 {
			c.client.Close()
		}
	}
}

// RoundTrip sends req, for which c was reserved, and returns the response. Its
// error wraps [ErrUnprocessed] if another connection may carry the request.
func (c *Conn) RoundTrip(req *http.Request) (*http.Response, error) { return c.client.RoundTrip(req) }

// Reserve reports whether c, which is held, can take another request, and
// reserves it.
func (c *Conn) Reserve() bool { return c.client.Reserve() == nil }

// Release gives back a connection that was reserved and not used.
func (c *Conn) Release() { c.client.Release() }

// Hold keeps c out of the lists, so that no other request gets it, or ends that. Its
// caller has it reserved.
func (c *Conn) Hold(held bool) {
	c.set.mu.Lock()
	c.held = held
	c.set.mu.Unlock()
	if c.http2 {
		c.set.update(c)
	}
}

// Acknowledged returns what the upstream's TCP has acknowledged.
func (c *Conn) Acknowledged() Ack {
	if c.socket == nil {
		return Ack{}
	}
	return acknowledged(c.socket.Raw())
}
