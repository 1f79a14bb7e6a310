package tcp

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// maxRaw is the largest buffer that is read or written here. A larger one takes the
// system longer, and the garbage collector would have to wait.
const maxRaw = 32 << 10

// A Conn is a [net.TCPConn]. It is safe for concurrent use, as that is.
type Conn struct {
	*net.TCPConn
	raw            syscall.RawConn
	reader, writer transfer
	peek           peek
}

// New returns conn as a Conn.
func New(conn *net.TCPConn) (*Conn, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &Conn{TCPConn: conn, raw: raw}
	c.reader.step, c.writer.step = c.reader.read, c.writer.write
	return c, nil
}

// Raw returns the descriptor's access.
func (c *Conn) Raw() syscall.RawConn { return c.raw }

// Read implements [net.Conn].
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 || len(p) > maxRaw {
		return c.TCPConn.Read(p)
	}
	n, err := c.reader.run(c.raw.Read, p)
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	return n, c.failure("read", err)
}

// Write implements [net.Conn].
func (c *Conn) Write(p []byte) (int, error) {
	if len(p) == 0 || len(p) > maxRaw {
		return c.TCPConn.Write(p)
	}
	n, err := c.writer.run(c.raw.Write, p)
	return n, c.failure("write", err)
}

// failure returns err as package net would.
func (c *Conn) failure(op string, err error) error {
	if err == nil {
		return nil
	}
	if inner, ok := errors.AsType[*net.OpError](err); ok {
		err = inner.Err // of a deadline, or of a connection that was closed
	} else {
		err = os.NewSyscallError(op, err)
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// A transfer reads or writes for one goroutine at a time.
type transfer struct {
	step func(fd uintptr) bool // read or write, bound once

	mu  sync.Mutex // guards what follows
	p   []byte
	n   int
	err error // of a system call
}

// run has access call step until p is done with, as [syscall.RawConn] does: when the
// socket is ready.
func (t *transfer) run(access func(func(uintptr) bool) error, p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.p, t.n, t.err = p, 0, nil
	err := access(t.step)
	t.p = nil
	if err == nil {
		err = t.err
	}
	return t.n, err
}

// read reads what there is, and reports false if there is nothing yet.
func (t *transfer) read(fd uintptr) bool {
	for {
		n, err := read(fd, t.p)
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		case nil:
			t.n = n
		default:
			t.err = err
		}
		return true
	}
}

// write writes what the socket takes, and reports false if that is not everything.
func (t *transfer) write(fd uintptr) bool {
	for t.n < len(t.p) {
		n, err := write(fd, t.p[t.n:])
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return false
		case err != nil:
			t.err = err
			return true
		case n == 0:
			t.err = io.ErrUnexpectedEOF
			return true
		default:
			t.n += n
		}
	}
	return true
}
