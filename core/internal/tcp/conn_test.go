package tcp_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/relay/core/internal/tcp"
)

// A side is one end of a connection, and its peer.
type side struct {
	net.Conn
	peer *net.TCPConn
}

// connect returns the end that is tested, as a Conn or as package net has it.
func connect(t *testing.T, plain bool) side {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialed, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialed.Close(); accepted.Close() })
	s := side{accepted, dialed.(*net.TCPConn)}
	if !plain {
		if s.Conn, err = tcp.New(accepted.(*net.TCPConn)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// What a Conn returns is what package net returns, to the letter of the error.
func TestLikeNet(t *testing.T) {
	buf := func() []byte { return make([]byte, 16) }
	for name, try := range map[string]func(side) (int, error){
		"read": func(s side) (int, error) {
			_, _ = s.peer.Write([]byte("hello"))
			return s.Read(buf())
		},
		"read nothing": func(s side) (int, error) { return s.Read(nil) },
		"read the end": func(s side) (int, error) {
			s.peer.Close()
			return s.Read(buf())
		},
		"read what was reset": func(s side) (int, error) {
			_ = s.peer.SetLinger(0)
			s.peer.Close()
			return s.Read(buf())
		},
		"read after the deadline": func(s side) (int, error) {
			_ = s.SetReadDeadline(time.Unix(1, 0))
			return s.Read(buf())
		},
		"read until the deadline": func(s side) (int, error) {
			_ = s.SetReadDeadline(time.Now().Add(time.Millisecond))
			return s.Read(buf())
		},
		"read after Close": func(s side) (int, error) {
			s.Close()
			return s.Read(buf())
		},
		"read while it is closed": func(s side) (int, error) {
			_ = s.SetReadDeadline(time.Now().Add(time.Minute))
			time.AfterFunc(time.Millisecond, func() { s.Close() })
			return s.Read(buf())
		},
		"write":         func(s side) (int, error) { return s.Write([]byte("hello")) },
		"write nothing": func(s side) (int, error) { return s.Write(nil) },
		"write what was reset": func(s side) (n int, err error) {
			_ = s.peer.SetLinger(0)
			s.peer.Close()
			_, _ = s.Read(buf()) // so that the reset has arrived
			return s.Write([]byte("hello"))
		},
		"write after Close": func(s side) (int, error) {
			s.Close()
			return s.Write([]byte("hello"))
		},
		"write after the deadline": func(s side) (int, error) {
			_ = s.SetWriteDeadline(time.Unix(1, 0))
			return s.Write([]byte("hello"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			said := func(plain bool) string {
				s := connect(t, plain)
				n, err := try(s)
				ends := strings.NewReplacer(s.LocalAddr().String(), "here", s.RemoteAddr().String(), "there")
				timeout, ok := errors.AsType[net.Error](err)
				return fmt.Sprint(n, " ", ends.Replace(fmt.Sprint(err)), errors.Is(err, net.ErrClosed),
					errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, io.EOF), ok && timeout.Timeout())
			}
			if got, want := said(false), said(true); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// Writers write one after another, each all of its bytes, however slowly they are read.
func TestSlowReader(t *testing.T) {
	s := connect(t, false)
	const writers, size, times = 4, 20_000, 200
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for range times {
				if n, err := s.Write(bytes.Repeat([]byte{byte('a' + i)}, size)); n != size || err != nil {
					t.Error(n, err)
				}
			}
		})
	}
	counts := make(map[byte]int)
	p := make([]byte, size)
	for range writers * times {
		if _, err := io.ReadFull(s.peer, p); err != nil {
			t.Fatal(err)
		}
		if len(bytes.Trim(p, string(p[:1]))) > 0 {
			t.Fatal("two writes were mixed")
		}
		counts[p[0]]++
	}
	wg.Wait()
	if len(counts) != writers {
		t.Errorf("got writes of %d writers", len(counts))
	}
}

// A write that the peer does not take in time says how much of it was written.
func TestPartialWrite(t *testing.T) {
	s := connect(t, false)
	if err := s.Conn.(*tcp.Conn).SetWriteBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	_ = s.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	p := make([]byte, 30_000)
	written := 0
	for {
		n, err := s.Write(p)
		written += n
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
			break
		}
	}
	s.Close()
	if n, _ := io.Copy(io.Discard, s.peer); int(n) != written {
		t.Errorf("the peer got %d bytes of %d", n, written)
	}
}

// A connection is quiet as long as its peer has neither sent nor ended anything.
func TestIsQuiet(t *testing.T) {
	for name, test := range map[string]struct {
		happens func(side)
		want    bool
	}{
		"nothing":  {func(side) {}, true},
		"data":     {func(s side) { _, _ = s.peer.Write([]byte("x")) }, false},
		"an end":   {func(s side) { _ = s.peer.CloseWrite() }, false},
		"a reset":  {func(s side) { _ = s.peer.SetLinger(0); s.peer.Close() }, false},
		"closed":   {func(s side) { s.Close() }, false},
		"was read": {func(s side) { _, _ = s.peer.Write([]byte("x")); _, _ = s.Read(make([]byte, 8)) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := connect(t, false)
			test.happens(s)
			if got := s.Conn.(*tcp.Conn).IsQuiet(); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
