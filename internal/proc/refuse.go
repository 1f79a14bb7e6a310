package proc

import (
	"net"
	"testing"
)

// RefusingAddr returns an address of 127.0.0.1 that refuses connections until the
// test ends. It is the client's end of an open connection, which no listener gets.
// The port of a closed listener would not do: another test may listen on it.
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
