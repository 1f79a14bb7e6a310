package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"

	"example.com/relay/core"
)

// gateways are the relays with regions of their own, by their names in the greeting,
// and how the first region fails when a test kills it.
var gateways = map[string]func(*region){
	"gatewayRefuse": func(r *region) { r.server.Close() },
	"gateway503":    func(r *region) { r.serveDead(unavailable) },
	"gatewayReset":  func(r *region) { r.serveDead(reset) },
}

// regionNames are the names of a gateway's regions, as people see them.
var regionNames = []string{"aws-us-east-1", "gcf-europe-west1", "vercel-iad1"}

// A region is a relay that can be killed.
type region struct {
	server *http.Server
	dead   atomic.Pointer[http.HandlerFunc] // serves in the relay's place
}

// serveDead has h respond in the relay's place from now on.
func (r *region) serveDead(h http.HandlerFunc) { r.dead.Store(&h) }

// unavailable responds like a platform without an instance.
func unavailable(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "<h1>Service Unavailable</h1>", http.StatusServiceUnavailable)
}

// reset resets the connection once the request has arrived.
func reset(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
}

// startKillable serves the gateways whose regions can be killed, and the regions,
// which lead to upstream, and adds the gateways to greeting.
func (s *stack) startKillable(upstream string, greeting map[string]any) error {
	for name := range gateways {
		var upstreams []core.Secret
		for i, called := range regionNames {
			r, url, err := s.startRegion(fmt.Sprint(name, i), upstream)
			if err != nil {
				return err
			}
			if i == 0 {
				s.first[name] = r
			}
			upstreams = append(upstreams, core.Secret(url+"#"+called))
		}
		var err error
		if greeting[name], err = s.startRelay(name, core.Config{Upstreams: upstreams}); err != nil {
			return err
		}
	}
	return nil
}

// startRegion serves a region and returns its base URL.
func (s *stack) startRegion(name, upstream string) (*region, string, error) {
	relay, err := s.newRelay(name, core.Config{Upstreams: []core.Secret{core.Secret(upstream)}})
	if err != nil {
		return nil, "", err
	}
	r := new(region)
	r.server = &http.Server{ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if dead := r.dead.Load(); dead != nil {
				(*dead)(w, req)
				return
			}
			relay.ServeHTTP(w, req)
		})}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	go r.server.Serve(ln) //nolint:errcheck // it ends with the region, or the process
	return r, "http://" + ln.Addr().String(), nil
}

// kill lets the first region of a gateway go.
func (s *stack) kill(w http.ResponseWriter, req *http.Request) {
	name := req.PathValue("gateway")
	how, ok := gateways[name]
	if !ok {
		http.Error(w, "no such gateway", http.StatusNotFound)
		return
	}
	how(s.first[name])
}
