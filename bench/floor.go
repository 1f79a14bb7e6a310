package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"runtime"
	"strconv"
	"sync"
)

// A floor is about the least that a relay behind net/http's server can do: it
// copies headers and bodies between the server and connections of its own, and
// that is all. It has no limits and no time-outs, cancels nothing, takes any
// header for granted, and logs nothing. What the relay takes beyond it is what
// its contract costs; what it takes itself, net/http's server and the kernel.
type floor struct {
	dial func() (net.Conn, error)

	mu   sync.Mutex
	idle []*floorConn
}

type floorConn struct {
	net.Conn
	br  *bufio.Reader
	out []byte
}

// beFloor serves a floor before up until ctx ends.
func beFloor(ctx context.Context, up string, stdout io.Writer) error {
	f, err := newFloor(up)
	if err != nil {
		return err
	}
	room := make([]byte, 16<<20) // to allocate in, as relay serve has it
	defer runtime.KeepAlive(room)
	return beServer(ctx, f, stdout)
}

func newFloor(up string) (*floor, error) {
	u, err := url.Parse(up)
	if err != nil {
		return nil, err
	}
	f := &floor{dial: func() (net.Conn, error) { return net.Dial("tcp", u.Host) }}
	if u.Scheme == "https" {
		roots, err := x509.SystemCertPool() // SSL_CERT_FILE says which
		if err != nil {
			return nil, err
		}
		config := &tls.Config{RootCAs: roots, ServerName: u.Hostname()}
		f.dial = func() (net.Conn, error) { return tls.Dial("tcp", u.Host, config) }
	}
	return f, nil
}

func (f *floor) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	c, err := f.take()
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	if err := c.exchange(w, req); err != nil {
		c.Close()
		panic(http.ErrAbortHandler)
	}
	f.give(c)
}

func (f *floor) take() (*floorConn, error) {
	f.mu.Lock()
	if n := len(f.idle); n > 0 {
		c := f.idle[n-1]
		f.idle = f.idle[:n-1]
		f.mu.Unlock()
		return c, nil
	}
	f.mu.Unlock()
	conn, err := f.dial()
	if err != nil {
		return nil, err
	}
	return &floorConn{Conn: conn, br: bufio.NewReader(conn)}, nil
}

func (f *floor) give(c *floorConn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.idle = append(f.idle, c)
}

// exchange hands a request on, and its response back.
func (c *floorConn) exchange(w http.ResponseWriter, req *http.Request) error {
	c.out = append(append(append(c.out[:0], req.Method+" "+req.URL.RequestURI()+" HTTP/1.1\r\nHost: "...), req.Host...),
		"\r\n"...)
	for name, values := range req.Header {
		for _, value := range values {
			c.out = append(append(append(append(c.out, name...), ": "...), value...), "\r\n"...)
		}
	}
	c.out = append(c.out, "\r\n"...)
	if n := req.ContentLength; n > 0 && n <= 64<<10 {
		head := len(c.out)
		c.out = append(c.out, make([]byte, n)...)
		if _, err := io.ReadFull(req.Body, c.out[head:]); err != nil {
			return err
		}
	}
	if _, err := c.Write(c.out); err != nil {
		return err
	}
	if req.ContentLength > 64<<10 {
		if _, err := io.Copy(c.Conn, req.Body); err != nil {
			return err
		}
	}
	return c.respond(w)
}

var errStatus = errors.New("no status in the response")

// respond forwards the response.
func (c *floorConn) respond(w http.ResponseWriter) error {
	line, err := c.br.ReadSlice('\n')
	if err != nil || len(line) < len("HTTP/1.1 200") {
		return errors.Join(err, errStatus)
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return err
	}
	header, err := textproto.NewReader(c.br).ReadMIMEHeader()
	if err != nil {
		return err
	}
	h := w.Header()
	for name, values := range header {
		h[name] = values
	}
	if h.Get("Transfer-Encoding") == "chunked" {
		delete(h, "Transfer-Encoding")
		return c.stream(w, status)
	}
	length, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	if err != nil {
		return err
	}
	w.WriteHeader(status)
	_, err = io.CopyN(w, c.br, length)
	return err
}

// stream hands a stream on as it comes.
func (c *floorConn) stream(w http.ResponseWriter, status int) error {
	w.WriteHeader(status)
	rc := http.NewResponseController(w)
	chunks, buf := httputil.NewChunkedReader(c.br), make([]byte, 8<<10)
	for {
		n, err := chunks.Read(buf)
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			_, err = c.br.Discard(len("\r\n"))
			return err
		}
		if err != nil {
			return err
		}
		if err := rc.Flush(); err != nil {
			return err
		}
	}
}
