package proc

import (
	"net"
	"testing"
)

// RefusingAddr returns an address of 127.0.0.1 that refuses connections until
// the test ends. It is that of a client's end of a connection, which no listener
// gets; the port of a listener that was closed may be another test's by then.
func RefusingAddr(tb testing.TB) string {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = ln.Close() })
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn.LocalAddr().String()
}
