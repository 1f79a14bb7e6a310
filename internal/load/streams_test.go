package load

import (
	"fmt"
	"net"
	"testing"
	"time"

	"example.com/relay/internal/load/wire"
)

// What is missing by its number is lost, and a stream that ends is counted.
func TestStreamsCountWhatIsLost(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	resume := make(chan struct{})
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		event := func(n int) { fmt.Fprintf(conn, "%s}\n\n", wire.AppendStamp(nil, time.Now(), n)) }
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n\r\n")
		event(0)
		<-resume
		for _, n := range []int{1, 2, 5} {
			event(n)
		}
	}()
	s := NewStreams(ln.Addr().String(), []byte("GET / HTTP/1.1\r\n\r\n"), 10*time.Second)
	defer s.Close()
	if err := s.Grow(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(10*time.Millisecond, func() { close(resume) })
	total := new(Received)
	for deadline := time.Now().Add(10 * time.Second); total.Ended == 0 && time.Now().Before(deadline); {
		got, err := s.Receive(t.Context(), 50*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		total.Events, total.Lost, total.Ended = total.Events+got.Events, total.Lost+got.Lost, got.Ended
	}
	if total.Events != 3 || total.Lost != 2 || total.Ended != 1 {
		t.Errorf("%d events, %d lost, %d streams ended, want 3, 2 and 1", total.Events, total.Lost, total.Ended)
	}
}

func TestStreamsThatCannotBeOpened(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	s := NewStreams(ln.Addr().String(), []byte("GET / HTTP/1.1\r\n\r\n"), 10*time.Second)
	defer s.Close()
	defer ln.Close()
	if err := s.Grow(t.Context(), 100); err == nil {
		t.Error("Grow() opened streams of a server that has none")
	}
}
