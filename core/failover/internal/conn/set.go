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

	// HTTP1 keeps connections to HTTP/1.1. HTTP2 has all connections over TLS use
	// HTTP/2 if the upstream speaks it. With neither, [maxBusy] says which do.
	HTTP1, HTTP2 bool

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
	tls, tls1 *tls.Config // that offer both protocols, and HTTP/1.1; nil for plain http
	proxy     func(*http.Request) (*url.URL, error)
	transport http.RoundTripper // instead of connections; or nil

	// net/http's: by way of a proxy, for protocol switches, for HTTP/2.
	proxied, switching, http2 *http.Transport

	mu         sync.Mutex // guards what follows, and the fields of each Conn that say so
	generation int        // counts up when all connections are retired
	idle       []*Conn    // HTTP/1.1, the last one used last
	shared     []*Conn    // HTTP/2
	protocols  protocols
}

// NewSet returns the connections to an upstream, of which there are none yet.
func NewSet(opts Options) *Set {
	s := &Set{base: opts.Base, heard: opts.Heard, dialer: newDialer(), proxy: opts.Proxy, transport: opts.Transport}
	s.protocols.maxBusy = maxBusyFor(opts)
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
		s.tls, s.tls1 = config, config.Clone()
		s.tls1.NextProtos = []string{"http/1.1"}
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
	took       time.Duration // to connect

	forSwitch bool // made for a switch of protocols, which may use it for hours
	offers1   bool // HTTP/1.1 only
	refused1  bool // which was refused

	// Guarded by set.mu:
	held      bool // kept out of the lists, see Hold
	pooled    bool // in the set's lists
	busy      bool // counted in protocols.busy
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
		if !c.http2 || c.client.Err() != nil {
			s.Drop(c) // closed meanwhile
		} // or else other requests have just filled it
	}
}

// pick returns a connection that looks usable, or nil. One of HTTP/1.1 is
// removed from the list.
func (s *Set) pick(switches bool) *Conn {
	s.mu.Lock()
	surplus := s.prune()
	c, i := s.usable(switches)
	if c != nil && !c.http2 {
		s.idle = slices.Delete(s.idle, i, i+1)
		c.pooled = false
		s.protocols.setBusy(c, true)
	}
	s.mu.Unlock()
	closeAll(surplus)
	return c
}

// usable returns the connection for the next request, of those that look usable, and
// where in its list it is. Of HTTP/1.1 it is the one used last. It is called with mu
// held.
func (s *Set) usable(switches bool) (*Conn, int) {
	if !switches && !s.protocols.preferHTTP1() {
		for i, c := range s.shared {
			if c.client.Available() > 0 {
				return c, i
			}
		}
	}
	for i, c := range slices.Backward(s.idle) {
		if !switches || c.switches {
			return c, i
		}
	}
	return nil, 0
}

// AtHand reports whether there is a connection that Take would return, as it looks.
func (s *Set) AtHand() bool {
	if s.transport != nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, _ := s.usable(false)
	return c != nil
}

// Connect returns a connection that is new to the caller, reserved for a request,
// which may need a switch of protocols. Requests that connect at the same time may
// share one of HTTP/2.
func (s *Set) Connect(ctx context.Context, switches bool) (*Conn, error) {
	for range maxWaits {
		c := &Conn{set: s, forSwitch: switches}
		shared, leads := s.begin(c, true)
		if shared == nil || leads {
			return s.connect(ctx, c, shared)
		}
		if cn, err := shared.wait(ctx); cn != nil || err != nil {
			return cn, err
		}
	}
	return s.ConnectNew(ctx, switches)
}

// ConnectNew is Connect for a connection that is not shared from the start.
func (s *Set) ConnectNew(ctx context.Context, switches bool) (*Conn, error) {
	c := &Conn{set: s, forSwitch: switches}
	s.begin(c, false)
	return s.connect(ctx, c, nil)
}

// ConnectHeld is ConnectNew for a connection that is held from the start, so that no
// other request gets it.
func (s *Set) ConnectHeld(ctx context.Context) (*Conn, error) {
	c := &Conn{set: s, held: true}
	s.begin(c, false)
	return s.connect(ctx, c, nil)
}

// connect connects c after begin, for shared if others wait for it.
func (s *Set) connect(ctx context.Context, c *Conn, shared *pendingConnect) (*Conn, error) {
	start := time.Now()
	err := s.dial(ctx, c)
	if s.mayNeedHTTP2(c, err) {
		c.offers1, c.refused1 = false, refuses1(err)
		err = s.dial(ctx, c)
	}
	c.took = time.Since(start)
	s.end(c, err)
	if shared != nil {
		s.release(ctx, c, shared, err)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// dial decides which client carries c: net/http's for switches, proxies and HTTP/2,
// our own for anything else.
func (s *Set) dial(ctx context.Context, c *Conn) error {
	if s.transport != nil {
		c.client = transportClient{s.transport}
		return nil
	}
	if c.forSwitch {
		return c.useNet(ctx, s.switching)
	}
	if proxied, err := s.isProxied(); err != nil {
		return err
	} else if proxied && c.offers1 {
		return c.useNet(ctx, s.switching)
	} else if proxied {
		return c.useNet(ctx, s.proxied)
	}
	socket, err := dialSocket(ctx, s.dialer, s.address)
	if err != nil {
		return err
	}
	socket.heard = s.heard
	c.socket = socket
	if s.tls == nil {
		c.useOwn(socket)
		return nil
	}
	config := s.tls
	if c.offers1 {
		config = s.tls1
	}
	secure := tls.Client(socket, config)
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		socket.Close()
		return err
	}
	switch secure.ConnectionState().NegotiatedProtocol {
	case "h2":
		return c.useNet(context.WithValue(ctx, handedKey{}, secure), s.http2)
	case "":
		if s.mayNeedHTTP2(c, errNoProtocol) {
			socket.Close()
			return errNoProtocol
		}
	}
	c.useOwn(secure)
	return nil
}

// useOwn makes our own client carry c, over conn: its socket, or TLS over it.
func (c *Conn) useOwn(conn net.Conn) {
	h := newHTTP1(conn, c.socket, func() { c.set.update(c) })
	h.closed = h.changed
	c.client = h
}

// useNet makes net/http's client carry c.
func (c *Conn) useNet(ctx context.Context, transport *http.Transport) error {
	cc, err := transport.NewClientConn(ctx, c.set.base.Scheme, c.set.address)
	if err != nil {
		return err
	}
	nc := &netClient{ClientConn: cc, socket: c.socket, http2: cc.Available() > 1, changed: func() { c.set.update(c) }}
	if err := cc.Reserve(); err != nil {
		cc.Close()
		return err
	}
	c.client, c.http2, c.switches = nc, nc.http2, true
	cc.SetStateHook(func(*http.ClientConn) { nc.settle() })
	if c.http2 {
		c.set.update(c)
	}
	return nil
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
		s.protocols.setBusy(c, false)
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
		s.protocols.setBusy(c, false)
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
		c.client.CloseIdle()
	}
}

// Drop closes c.
func (s *Set) Drop(c *Conn) {
	s.mu.Lock()
	s.remove(c)
	s.protocols.setBusy(c, false)
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
	closeAll(shared) // those in use are closed when they are settled
}

// RoundTrip sends req, for which c was reserved, and returns the response. Its
// error wraps [ErrUnprocessed] if another connection may carry the request.
func (c *Conn) RoundTrip(req *http.Request) (*http.Response, error) { return c.client.RoundTrip(req) }

// Reserve reports whether c, which is held, can take another request, and
// reserves it.
func (c *Conn) Reserve() bool { return c.client.Reserve() == nil }

// Took returns how long it took to connect.
func (c *Conn) Took() time.Duration { return c.took }

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
