package regions

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Front is in front of a server as a platform is: it terminates connections and
// TLS, forwards requests, and may respond in the server's place. Its address never
// changes. It is safe for concurrent use.
type Front struct {
	addr    string
	release func() // of the address
	tls     *tls.Config
	pass    *httputil.ReverseProxy

	upstream atomic.Pointer[url.URL]

	mu       sync.Mutex // guards what follows, except serving
	fault    Fault
	ln       *net.TCPListener // nil while nothing listens
	server   *http.Server     // serves the connections of ln
	servers  []*http.Server   // all so far
	conns    map[*conn]bool   // nil when closed
	accepted int
	served   []Served
	serving  sync.WaitGroup
	thawed   chan struct{} // closed while bytes may move
}

// NewFront returns a front that accepts connections and has no fault. If config
// is not nil they use TLS, and may use HTTP/2 unless config.NextProtos leaves it
// out. The front must be closed.
func NewFront(config *tls.Config) (*Front, error) {
	addr, release, err := holdPort()
	if err != nil {
		return nil, err
	}
	f := &Front{addr: addr, release: release, tls: config, conns: make(map[*conn]bool), thawed: make(chan struct{})}
	close(f.thawed)
	f.pass = &httputil.ReverseProxy{
		Rewrite:       f.rewrite,
		FlushInterval: -1,
		// One connection per request: an idle one that has died since would look like
		// a fault.
		Transport: &http.Transport{
			DisableKeepAlives: true, DisableCompression: true, ExpectContinueTimeout: time.Second,
		},
		ErrorLog: silent,
		// If the process dies, the client's connection breaks too.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	f.server = f.newServer()
	if err := f.listen(); err != nil {
		release()
		return nil, err
	}
	return f, nil
}

// silent discards what net/http logs about faults, which are intended.
var silent = log.New(io.Discard, "", 0)

// Addr returns the host and port of the front.
func (f *Front) Addr() string { return f.addr }

// URL returns the base URL of the front.
func (f *Front) URL() string {
	if f.tls != nil {
		return "https://" + f.addr
	}
	return "http://" + f.addr
}

// Pass forwards requests to the server at base from now on.
func (f *Front) Pass(base string) error {
	u, err := url.Parse(base)
	if err == nil {
		f.upstream.Store(u)
	}
	return err
}

// Set replaces the fault, with immediate effect on requests in flight too. It
// returns [errors.ErrUnsupported] for a [BlackHole] on systems that cannot have
// one, and [net.ErrClosed] if the front is closed.
func (f *Front) Set(fault Fault) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conns == nil {
		return net.ErrClosed
	}
	f.fault = fault
	if fault.drains || fault.leaves {
		f.drain()
	}
	if fault.cuts {
		f.cut()
	}
	if err := f.listenAs(fault); err != nil {
		return err
	}
	return f.freeze(fault)
}

// Fault returns the current fault.
func (f *Front) Fault() Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fault
}

// Accepted returns how many connections the front has accepted so far.
func (f *Front) Accepted() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.accepted
}

// A Served is a request that a front forwarded to the server.
type Served struct {
	At time.Time
	ID string // its X-Client-Request-Id
}

// Served returns the requests that the front forwarded to the server, in order,
// without health probes.
func (f *Front) Served() []Served {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.served)
}

// Close closes all connections and releases the address. It may be called twice.
func (f *Front) Close() {
	f.mu.Lock()
	if f.conns == nil {
		f.mu.Unlock()
		return
	}
	_ = f.stopListening()
	f.cut()
	f.conns = nil
	servers := f.servers
	f.mu.Unlock()
	for _, server := range servers {
		_ = server.Close()
	}
	f.serving.Wait()
	f.release()
}

// drain has the connections close after their responses, and makes a new server
// for new ones.
func (f *Front) drain() {
	old := f.server
	_ = f.stopListening() // now, or the next listener could not bind the address
	f.server = f.newServer()
	f.serving.Go(func() { _ = old.Shutdown(context.Background()) })
}

// cut resets all connections.
func (f *Front) cut() {
	for c := range f.conns {
		c.reset()
		delete(f.conns, c)
	}
}

// listenAs starts or stops listening, as the fault demands.
func (f *Front) listenAs(fault Fault) error {
	if fault.closed {
		return f.stopListening()
	}
	if f.ln == nil {
		return f.listen()
	}
	return nil
}

func (f *Front) stopListening() error {
	if f.ln == nil {
		return nil
	}
	err := f.ln.Close()
	f.ln = nil
	return err
}

// freeze stops bytes and packets, or lets them move again.
func (f *Front) freeze(fault Fault) error {
	if f.ln != nil {
		if err := setDrop(f.ln, fault.drops); err != nil {
			return err
		}
	}
	for c := range f.conns {
		_ = setDrop(c.tcp, fault.drops) // fails if the connection has just ended
	}
	if fault.frozen {
		if isClosed(f.thawed) {
			f.thawed = make(chan struct{})
		}
		return nil
	}
	if !isClosed(f.thawed) {
		close(f.thawed)
	}
	for c := range f.conns {
		if isClosed(c.closed) { // while frozen
			_ = c.tcp.Close()
			delete(f.conns, c)
		}
	}
	return nil
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// thaw returns a channel that is closed once bytes may move.
func (f *Front) thaw() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.thawed
}

// listen opens the listener and has it served.
func (f *Front) listen() error {
	var config net.ListenConfig
	config.SetMultipathTCP(false) // its sockets accept no filter
	config.KeepAlive = -1         // its packets would escape from a black hole
	ln, err := config.Listen(context.Background(), "tcp", f.addr)
	if err != nil {
		return err
	}
	f.ln = ln.(*net.TCPListener)
	server, entrance := f.server, listener{f.ln, f}
	f.serving.Go(func() {
		if f.tls != nil {
			_ = server.ServeTLS(entrance, "", "")
		} else {
			_ = server.Serve(entrance)
		}
	})
	return nil
}

func (f *Front) newServer() *http.Server {
	server := &http.Server{Handler: f, ErrorLog: silent}
	if f.tls != nil {
		server.TLSConfig = f.tls.Clone()
		server.Protocols = new(http.Protocols)
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetHTTP2(f.tls.NextProtos == nil || slices.Contains(f.tls.NextProtos, "h2"))
	}
	f.servers = append(f.servers, server)
	return server
}

// A listener accepts the connections of a front.
type listener struct {
	*net.TCPListener
	front *Front
}

func (l listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.AcceptTCP()
		if err != nil {
			return nil, err
		}
		if c := l.front.enter(accepted); c != nil {
			return c, nil
		}
	}
}

// enter registers a connection that was accepted. It returns nil if the connection
// was reset instead.
func (f *Front) enter(accepted *net.TCPConn) *conn {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.accepted++
	c := &conn{Conn: accepted, tcp: accepted, front: f, closed: make(chan struct{})}
	c.ready = time.Now().Add(f.fault.delay)
	if f.conns == nil || f.fault.cuts {
		c.reset()
		return nil
	}
	if f.fault.drops { // it was accepted just before
		_ = setDrop(accepted, true)
	}
	f.conns[c] = true
	return c
}

// leave closes c, now or once the front is not frozen.
func (f *Front) leave(c *conn) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conns[c] && !isClosed(f.thawed) {
		return nil
	}
	delete(f.conns, c)
	return c.tcp.Close()
}

// ServeHTTP implements http.Handler: it forwards req, or responds with the fault's
// page.
func (f *Front) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	fault := f.Fault()
	page := fault.page
	if fault.to != "" && req.Header.Get(fault.to) == "" {
		page = nil
	}
	if page != nil && !page.After {
		page.write(w)
		return
	}
	f.count(req)
	// Otherwise net/http closes the request's body when the response begins, which
	// truncates the response if it overtakes the request's end.
	_ = http.NewResponseController(w).EnableFullDuplex()
	if page != nil {
		f.spend(req)
		page.write(w)
		return
	}
	f.pass.ServeHTTP(w, req)
}

func (f *Front) count(req *http.Request) {
	if strings.HasPrefix(req.URL.Path, "/relay/") {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.served = append(f.served, Served{time.Now(), req.Header.Get("X-Client-Request-Id")})
}

// spend forwards req and discards the response.
func (f *Front) spend(req *http.Request) {
	out := req.Clone(req.Context())
	out.RequestURI = ""
	out.URL = f.aim(out.URL)
	if res, err := f.pass.Transport.RoundTrip(out); err == nil {
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
}

func (f *Front) rewrite(pr *httputil.ProxyRequest) {
	pr.Out.URL = f.aim(pr.In.URL) // with the query unchanged
}

// aim returns u with the server's scheme and host.
func (f *Front) aim(u *url.URL) *url.URL {
	aimed := *u
	if server := f.upstream.Load(); server != nil {
		aimed.Scheme, aimed.Host = server.Scheme, server.Host
	}
	return &aimed
}
