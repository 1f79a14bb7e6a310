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

// A Front stands before a server as a platform does: it ends connections and
// TLS, passes requests on, and answers in the server's place when it must. Its
// address stays the same for its life. It is safe for concurrent use.
type Front struct {
	addr    string
	release func() // of the address
	tls     *tls.Config
	pass    *httputil.ReverseProxy

	upstream atomic.Pointer[url.URL]

	mu       sync.Mutex
	fault    Fault
	ln       *net.TCPListener // nil while nothing listens
	server   *http.Server     // takes what ln accepts
	servers  []*http.Server   // all there were
	conns    map[*conn]bool   // nil when closed
	accepted int
	served   []Served
	serving  sync.WaitGroup
	thawed   chan struct{} // closed while bytes may move
}

// NewFront returns a front that takes connections and has no fault. If config is
// not nil they are over TLS, and may speak HTTP/2 unless config.NextProtos
// leaves it out. It must be closed.
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
		// A connection for each request: an idle one that has died meanwhile would
		// look like a fault.
		Transport: &http.Transport{
			DisableKeepAlives: true, DisableCompression: true, ExpectContinueTimeout: time.Second,
		},
		ErrorLog: silent,
		// The connection of a process is cut with the process.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	f.server = f.newServer()
	if err := f.listen(); err != nil {
		release()
		return nil, err
	}
	return f, nil
}

// silent takes what net/http says of faults, which are meant.
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

// Pass has requests passed on to the server at base from now on.
func (f *Front) Pass(base string) error {
	u, err := url.Parse(base)
	if err == nil {
		f.upstream.Store(u)
	}
	return err
}

// Set puts a fault in place of the one there was, at once and for what is under
// way as well. The error of a [BlackHole] is [errors.ErrUnsupported] where there
// can be none.
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

// Fault returns what is wrong at the moment.
func (f *Front) Fault() Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fault
}

// Accepted returns how many connections the front has taken so far.
func (f *Front) Accepted() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.accepted
}

// A Served is a request that a front let the server have.
type Served struct {
	At time.Time
	ID string // its X-Client-Request-Id
}

// Served returns the requests that the front let the server have, in order,
// without probes of the relay's health.
func (f *Front) Served() []Served {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.served)
}

// Close ends all connections and gives the address back.
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

// drain has the connections end with their answers, and makes a new server for
// those that come.
func (f *Front) drain() {
	old := f.server
	_ = f.stopListening() // now, or the next listener could not have the address
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

// listenAs sees to it that the front listens, or does not.
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

// freeze stops bytes, and packets, or lets them move again.
func (f *Front) freeze(fault Fault) error {
	if f.ln != nil {
		if err := setDrop(f.ln, fault.drops); err != nil {
			return err
		}
	}
	for c := range f.conns {
		_ = setDrop(c.tcp, fault.drops) // it may just have ended
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
		if c.isClosed() { // meanwhile
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

// thaw returns a channel that is closed when bytes may move.
func (f *Front) thaw() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.thawed
}

// listen opens the listener and has it served.
func (f *Front) listen() error {
	var config net.ListenConfig
	config.SetMultipathTCP(false) // whose sockets take no filter
	config.KeepAlive = -1         // packets that would get out of a black hole
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

// A listener takes the connections of a front.
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

// enter returns the connection that was accepted, or nil if it was reset.
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
	if f.fault.drops { // it came just before
		_ = setDrop(accepted, true)
	}
	f.conns[c] = true
	return c
}

// leave closes c, now or at the thaw.
func (f *Front) leave(c *conn) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conns[c] && !isClosed(f.thawed) {
		return nil
	}
	delete(f.conns, c)
	return c.tcp.Close()
}

// ServeHTTP implements http.Handler: it passes req on, or answers it.
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
	// Or the server would end the request's body with the answer's first byte,
	// and the answer with it if it was quicker than the end of the request.
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

// spend passes req on and throws the answer away.
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
	pr.Out.URL = f.aim(pr.In.URL) // with the query to the letter
}

// aim returns u at the server.
func (f *Front) aim(u *url.URL) *url.URL {
	aimed := *u
	if server := f.upstream.Load(); server != nil {
		aimed.Scheme, aimed.Host = server.Scheme, server.Host
	}
	return &aimed
}
