package conn

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// A client is a connection that carries requests. Its methods mean what those of
// [http.ClientConn] mean.
type client interface {
	RoundTrip(*http.Request) (*http.Response, error)
	Reserve() error
	Release()
	Available() int
	InFlight() int
	Err() error
	Close() error

	// CloseIdle closes the connection unless a request has it, or is about to.
	CloseIdle()
}

// A netClient is net/http's connection. It refuses what ours refuses: header
// lines without number, expectations that two programs may read differently, and
// another request on a connection where the next response may not be to it.
type netClient struct {
	*http.ClientConn
	socket  *socket // nil by way of a proxy
	http2   bool
	changed func() // called when the connection's state has changed

	busy    atomic.Bool // the header of an HTTP/1 response was not judged yet
	retired atomic.Bool // takes no other request, and is closed after this one

	// reserving is how many calls of Reserve are under way, or -1 while the connection
	// is being closed. It is no mutex, as net/http may call settle from Reserve.
	reserving atomic.Int64
}

// settle closes the connection when it has nothing more to do.
func (c *netClient) settle() {
	if c.retired.Load() {
		c.CloseIdle()
	}
	c.changed()
}

// CloseIdle closes the connection unless a request has it, or is about to.
func (c *netClient) CloseIdle() {
	if !c.reserving.CompareAndSwap(0, -1) {
		return // it is settled again after that request
	}
	if c.ClientConn.InFlight() == 0 {
		c.ClientConn.Close()
		return
	}
	c.reserving.Store(0)
}

// Available returns how many requests the connection can take. net/http makes it
// available before the caller has seen the response's header.
func (c *netClient) Available() int {
	if c.busy.Load() || c.retired.Load() || c.reserving.Load() < 0 {
		return 0
	}
	return c.ClientConn.Available()
}

// Reserve reserves the connection for a request.
func (c *netClient) Reserve() error {
	for {
		n := c.reserving.Load()
		if n < 0 || c.retired.Load() {
			return errClosed
		}
		if c.reserving.CompareAndSwap(n, n+1) {
			break
		}
	}
	defer c.reserving.Add(-1)
	return c.ClientConn.Reserve()
}

// Release gives up a reservation.
func (c *netClient) Release() {
	c.ClientConn.Release()
	c.changed()
}

// RoundTrip sends req, for which the connection was reserved.
func (c *netClient) RoundTrip(req *http.Request) (*http.Response, error) {
	if c.socket != nil {
		c.socket.arm()
	}
	if !c.http2 {
		return traced(req, c.roundTripHTTP1)
	}
	res, err := traced(req, c.ClientConn.RoundTrip)
	if err == nil {
		res.Body = endWith(req.Context(), res.Body)
	}
	return res, err
}

// A boundBody is a response's body that ends with a context. net/http's own ends only
// when it has told an HTTP/2 server so, and waits for that while another request's
// body blocks the connection.
type boundBody struct {
	io.ReadCloser
	ctx    context.Context
	unhook func() bool // keeps the end of ctx from closing the body
}

// endWith returns body bound to ctx.
func endWith(ctx context.Context, body io.ReadCloser) *boundBody {
	return &boundBody{body, ctx, context.AfterFunc(ctx, func() { body.Close() })}
}

func (b *boundBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		return n, nil
	}
	b.unhook()
	if err != io.EOF && b.ctx.Err() != nil {
		err = context.Cause(b.ctx)
	}
	return n, err
}

func (b *boundBody) Close() error {
	b.unhook()
	return b.ReadCloser.Close()
}

// roundTripHTTP1 sends req over HTTP/1.1. net/http would let the connection take
// another request where ours may not, see [roundTrip.mayReuse].
func (c *netClient) roundTripHTTP1(req *http.Request) (*http.Response, error) {
	var sent *sentBody
	if req.Body != nil {
		sent = &sentBody{ReadCloser: req.Body}
		out := *req
		out.Body = sent
		req = &out
	}
	c.busy.Store(true)
	res, err := c.ClientConn.RoundTrip(req)
	early := sent != nil && !sent.ended.Load()
	expects := sent != nil && expectsContinue(req.Header)
	if err != nil || early || expects || res.ProtoMinor == 0 || announcesBody(res) {
		c.retired.Store(true)
	}
	c.busy.Store(false)
	c.settle()
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

// A transportClient sends requests by a transport of the caller's, which keeps
// connections of its own: it is always available.
type transportClient struct{ http.RoundTripper }

func (c transportClient) RoundTrip(req *http.Request) (*http.Response, error) {
	return traced(req, c.RoundTripper.RoundTrip)
}

func (transportClient) Reserve() error { return nil }
func (transportClient) Release()       {}
func (transportClient) Available() int { return 1 }
func (transportClient) InFlight() int  { return 0 }
func (transportClient) Err() error     { return nil }
func (transportClient) Close() error   { return nil }
func (transportClient) CloseIdle()     {}

// traced sends req by a client of net/http's and limits the response's header
// lines. Whether anything was written, only a trace tells.
func traced(req *http.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	var wrote atomic.Bool
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		WroteHeaders: func() { wrote.Store(true) },
	})
	res, err := send(plainly(req.WithContext(ctx)))
	if err != nil {
		return nil, classified(err, !wrote.Load())
	}
	if headerLines(res.Header) > maxHeaderLines {
		res.Body.Close()
		return nil, errHeadersTooLarge
	}
	return res, nil
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

// headerLines returns how many lines h has.
func headerLines(h http.Header) int {
	n := 0
	for _, values := range h {
		n += len(values)
	}
	return n
}
