package upstream

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// An HTTP2 serves the calls of this package over TLS, by HTTP/2 to those who
// can. It is a server of net/http, so it takes more time than an [Upstream].
type HTTP2 struct {
	ln       net.Listener
	server   *http.Server
	accepted atomic.Int64
}

// StartHTTP2 returns an upstream on a free port of 127.0.0.1. It must be closed.
func StartHTTP2(cert tls.Certificate) (*HTTP2, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &HTTP2{ln: ln}
	u.server = &http.Server{
		Handler:   http.HandlerFunc(u.serve),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
		ErrorLog:  log.New(io.Discard, "", 0),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				u.accepted.Add(1)
			}
		},
	}
	go func() { _ = u.server.ServeTLS(ln, "", "") }()
	return u, nil
}

// Addr returns the host and port of the upstream.
func (u *HTTP2) Addr() string { return u.ln.Addr().String() }

// Close ends all connections.
func (u *HTTP2) Close() { _ = u.server.Close() }

func (u *HTTP2) serve(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path == connections.Target {
		fmt.Fprint(w, u.accepted.Load())
		return
	}
	a := parsed[req.URL.RequestURI()]
	if a == nil {
		http.NotFound(w, req)
		return
	}
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return
	}
	maps.Copy(w.Header(), a.header)
	if _, err := w.Write(a.body); err == nil {
		a.writeEvents(w, req)
	}
}

// A message is a response taken apart.
type message struct {
	*response
	header http.Header
	body   []byte // what is known of it beforehand
}

// parsed are all responses, by the target of the request.
var parsed = func() map[string]*message {
	all := make(map[string]*message)
	for target, a := range responses {
		res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(a.head)), nil)
		if err != nil {
			panic(err) // it is a constant
		}
		m := &message{response: a, header: res.Header}
		if a.count == 0 {
			if m.body, err = io.ReadAll(res.Body); err != nil {
				panic(err)
			}
		}
		all[target] = m
	}
	return all
}()

// writeEvents writes the events, each on its own.
func (m *message) writeEvents(w http.ResponseWriter, req *http.Request) {
	rc, next := http.NewResponseController(w), time.Now()
	for i := range m.count {
		if m.gap > 0 && i > 0 {
			next = m.pause(next, i)
		}
		if _, err := w.Write(eventBytes(time.Now(), i)); err != nil || rc.Flush() != nil {
			return
		}
	}
	if m.cut {
		panic(http.ErrAbortHandler)
	}
	if m.hold {
		<-req.Context().Done()
	}
}
