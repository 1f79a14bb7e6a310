package main

import (
	"io"
	"log"
	"net"
	"net/http"

	"example.com/relay/internal/lambdaemu"
)

// A function is a contender on an emulated Lambda. It must be closed.
type function struct {
	*lambdaemu.Server
	addr string
	http *http.Server
}

// serve serves a contender in front of upstream. The first request starts its
// process; there is never a second one.
func (w *row) serve(upstream string, change func(*lambdaemu.Function)) (*function, error) {
	f := lambdaemu.Function{Bootstrap: w.built.bootstrap, Mode: w.c.mode, Env: w.c.env(w.c.mode, upstream), Concurrency: 1, MemoryMB: 256}
	if change != nil {
		change(&f)
	}
	server, err := lambdaemu.New(f)
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		server.Close()
		return nil, err
	}
	s := &function{Server: server, addr: ln.Addr().String(), http: &http.Server{Handler: server, ErrorLog: quiet}}
	go func() { _ = s.http.Serve(ln) }()
	return s, nil
}

func (s *function) close() {
	_ = s.http.Close()
	s.Close()
}

// quiet is the log of servers whose clients leave as a matter of course.
var quiet = log.New(io.Discard, "", 0)
