package conn

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
)

// scripted returns the URL of a server that serves each connection by a
// function, which is given the connection's number.
func scripted(t *testing.T, serve func(conn *net.TCPConn, n int)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		for n := 0; ; n++ {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wait.Go(func() {
				defer conn.Close()
				serve(conn.(*net.TCPConn), n)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		wait.Wait()
	})
	return "http://" + ln.Addr().String()
}

// trusting returns a configuration of TLS that trusts server.
func trusting(server *httptest.Server) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return &tls.Config{RootCAs: roots}
}
