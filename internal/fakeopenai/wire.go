package fakeopenai

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"unicode/utf8"
)

// wire is where a response is written: to net/http, or, once take was called,
// to the connection itself.
type wire struct {
	call    *call
	conn    net.Conn
	chunked bool // frame what is sent on conn
	stop    func() bool
}

// send writes p so that the client gets it now.
func (x *wire) send(p []byte) error {
	if !x.call.fault.byteWrites {
		return x.sendAtOnce(p)
	}
	for i := range p {
		if err := x.sendAtOnce(p[i : i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (x *wire) sendAtOnce(p []byte) error {
	if x.call.ctx.Err() != nil {
		return errClientGone
	}
	if x.conn == nil {
		if _, err := x.call.w.Write(p); err != nil {
			return err
		}
		return x.flush()
	}
	if x.chunked {
		p = fmt.Appendf(nil, "%x\r\n%s\r\n", len(p), p)
	}
	_, err := x.conn.Write(p)
	return err
}

func (x *wire) flush() error {
	if x.conn != nil {
		return nil
	}
	return http.NewResponseController(x.call.w).Flush()
}

// end completes the response. Connections that were taken end with it.
func (x *wire) end() error {
	if x.conn == nil {
		return nil // net/http does the rest
	}
	if x.chunked {
		io.WriteString(x.conn, "0\r\n\r\n") //nolint:errcheck // Close follows
	}
	return x.conn.Close()
}

// take takes the connection away from net/http, which has sent what it was
// given. The connection closes with the upstream if release does not before.
func (x *wire) take() net.Conn {
	if x.conn == nil {
		conn, _, err := http.NewResponseController(x.call.w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler) // HTTP/2, or the client is gone
		}
		x.stop = context.AfterFunc(x.call.u.ctx, func() { conn.Close() })
		x.conn = conn
	}
	return x.conn
}

// release closes the connection if it was taken, and not closed since.
func (x *wire) release() {
	if x.conn != nil {
		x.stop()
		x.conn.Close()
	}
}

// insteadOfResponse does what the directives say that come before any header.
func (x *wire) insteadOfResponse(what string) {
	switch what {
	case "hang":
		<-x.call.ctx.Done()
		panic(http.ErrAbortHandler)
	case "reset-before":
		reset(x.take())
	case "close-before":
		x.take().Close()
	case "101":
		io.WriteString(x.take(), "HTTP/1.1 101 Switching Protocols\r\n"+
			"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nnot asked for") //nolint:errcheck // Close follows
		x.conn.Close()
	}
}

// breakOff ends the response before piece, or within it, in one of the ways of
// Fault.stop. piece is nil if there is none left.
func (x *wire) breakOff(how string, piece []byte) error {
	switch how {
	case "silence":
		return x.staySilent()
	case "half-close":
		return closeWrite(x.take())
	case "reset":
		reset(x.take())
		return nil
	case "bad-chunk":
		io.WriteString(x.take(), "zz\r\nno chunk size\r\n") //nolint:errcheck // Close follows
	default:
		if part := partOf(piece, how); len(part) > 0 {
			if err := x.sendAtOnce(part); err != nil {
				return err
			}
		}
	}
	return x.take().Close()
}

// staySilent waits until the client goes, or the upstream closes.
func (x *wire) staySilent() error {
	if x.conn != nil {
		io.Copy(io.Discard, x.conn) //nolint:errcheck // its end is all that matters
		return errClientGone
	}
	<-x.call.ctx.Done()
	return errClientGone
}

// partOf returns how much of an event is still sent: half of its data line, or
// up to the middle of a character of several bytes, or nothing.
func partOf(event []byte, how string) []byte {
	if len(event) == 0 {
		return nil
	}
	switch how {
	case "cut-line":
		start := max(bytes.Index(event, []byte("data:")), 0)
		return event[:start+(len(event)-start)/2]
	case "cut-utf8":
		for i, b := range event {
			if b >= utf8.RuneSelf {
				return event[:i+1]
			}
		}
		// None in this one, so half of an é comes into its middle.
		return append(bytes.Clone(event[:len(event)/2]), "é"[0])
	}
	return nil
}

// reset closes conn so that the peer gets an RST.
func reset(conn net.Conn) {
	inner := conn
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		inner = secure.NetConn()
	}
	if tcp, ok := inner.(*net.TCPConn); ok {
		tcp.SetLinger(0) //nolint:errcheck // then Close sends a FIN, which a test notices
	}
	inner.Close()
}

func closeWrite(conn net.Conn) error {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		return conn.Close()
	}
	if err := half.CloseWrite(); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, conn)
	conn.Close()
	return err
}
