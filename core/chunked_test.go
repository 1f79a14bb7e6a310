package core

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"example.com/relay/core/internal/tcp"
)

// After a chunk that was written in part, nothing is: it would be read as the rest.
func TestNothingFollowsABrokenChunk(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	conn, err := tcp.New(server.(*net.TCPConn))
	if err != nil {
		t.Fatal(err)
	}
	const size = 64 << 20 // more than any buffer, for a client that does not read
	w := &chunkedWriter{conn: &clientConn{Conn: conn}, rec: new(record)}
	_ = w.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := w.Write(make([]byte, size)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Write = %d, %v", n, err)
	}
	_ = w.SetWriteDeadline(time.Time{})
	received := make(chan string)
	go func() {
		all, _ := io.ReadAll(client)
		received <- string(all)
	}()
	if n, err := w.Write([]byte("data: one\n\n")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the next Write = %d, %v", n, err)
	}
	if err := w.end(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("end = %v", err)
	}
	server.Close()
	if all := <-received; len(all) >= size || strings.Contains(all, "data") {
		t.Errorf("the client got %d bytes", len(all))
	}
}
