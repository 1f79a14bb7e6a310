// Package wire reads HTTP/1.1 messages of which only the framing matters. The
// clients and the upstream of benchmarks use it in place of net/http, whose
// cost would hide the relay's.
package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"strconv"
)

var (
	errFraming = errors.New("malformed HTTP/1.1 message")

	contentLength    = []byte("Content-Length")
	transferEncoding = []byte("Transfer-Encoding")
	connection       = []byte("Connection")
	optionChunked    = []byte("chunked")
	optionClose      = []byte("close")
	versionPrefix    = []byte("HTTP/1.")
)

// bufferSize is what a Reader takes from the network at a time.
const bufferSize = 16 << 10

// A Reader reads one message after the other: ReadHead, then Read or Discard
// until the end of the body. It allocates nothing after its first message.
type Reader struct {
	br      *bufio.Reader
	start   []byte
	left    int64 // of the body, or of its chunk
	chunked bool  // more chunks may come
	inChunk bool  // the line end after a chunk has not been read
}

// A Head is the beginning of a message.
type Head struct {
	Start []byte // first line, good until the next ReadHead
	Close bool   // nothing follows this message
}

// NewReader returns a Reader of the messages that r brings.
func NewReader(r io.Reader) *Reader {
	return &Reader{br: bufio.NewReaderSize(r, bufferSize)}
}

// ReadHead reads up to the body of the next message. It returns [io.EOF] if
// there is none.
func (r *Reader) ReadHead() (Head, error) {
	line, err := r.readLine()
	if err != nil {
		return Head{}, err
	}
	r.start = append(r.start[:0], line...)
	h := Head{Start: r.start}
	length := int64(-1)
	r.chunked, r.inChunk = false, false
	for {
		line, err := r.readLine()
		if err != nil {
			return h, unexpected(err)
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, contentLength):
			if length, err = number(value, 10); err != nil {
				return h, err
			}
		case bytes.EqualFold(name, transferEncoding):
			r.chunked = bytes.EqualFold(value, optionChunked)
		case bytes.EqualFold(name, connection):
			h.Close = h.Close || bytes.EqualFold(value, optionClose)
		}
	}
	r.left = max(length, 0)
	if length < 0 && !r.chunked && bytes.HasPrefix(h.Start, versionPrefix) {
		r.left, h.Close = math.MaxInt64, true // until the connection ends
	}
	return h, nil
}

// Read reads the body of the message that was begun, up to [io.EOF].
func (r *Reader) Read(p []byte) (int, error) {
	if err := r.fill(); err != nil {
		return 0, err
	}
	n, err := r.br.Read(p[:min(int64(len(p)), r.left)])
	return r.took(n, err)
}

// Discard reads what is left of the body and returns how much it was.
func (r *Reader) Discard() (int64, error) {
	total := int64(0)
	for {
		err := r.fill()
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		n, err := r.br.Discard(int(min(r.left, 1<<20)))
		total += int64(n)
		if _, err = r.took(n, err); err != nil && err != io.EOF {
			return total, err
		}
	}
}

// took accounts for n bytes of body.
func (r *Reader) took(n int, err error) (int, error) {
	switch {
	case err == io.EOF && r.left > math.MaxInt64/2:
		r.left = 0
		return n, io.EOF
	case err != nil:
		return n, unexpected(err)
	}
	r.left -= int64(n)
	return n, nil
}

// fill sees to it that bytes of body are left, or returns [io.EOF].
func (r *Reader) fill() error {
	if r.left > 0 {
		return nil
	}
	if !r.chunked {
		return io.EOF
	}
	if r.inChunk {
		if line, err := r.readLine(); err != nil || len(line) > 0 {
			return errors.Join(errFraming, err)
		}
	}
	line, err := r.readLine()
	if err != nil {
		return unexpected(err)
	}
	r.left, err = number(line, 16)
	if err != nil {
		return err
	}
	r.inChunk = true
	if r.left == 0 {
		r.chunked = false
		return r.skipTrailer()
	}
	return nil
}

// skipTrailer reads to the end of a chunked message and returns [io.EOF].
func (r *Reader) skipTrailer() error {
	for {
		line, err := r.readLine()
		if err != nil {
			return unexpected(err)
		}
		if len(line) == 0 {
			return io.EOF
		}
	}
}

// readLine returns the next line without its end, good until the next read.
func (r *Reader) readLine() ([]byte, error) {
	line, err := r.br.ReadSlice('\n')
	if err != nil {
		if err == io.EOF && len(line) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

// number parses an unsigned number. The conversion of digits does not escape,
// so it costs no allocation.
func number(digits []byte, base int) (int64, error) {
	n, err := strconv.ParseUint(string(digits), base, 62)
	if err != nil {
		return 0, errFraming
	}
	return int64(n), nil
}

// unexpected returns err, with an end in the middle of a message as what it is.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
