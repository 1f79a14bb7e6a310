package conn

import (
	"bytes"
	"math"
	"net"
)

const (
	// maxHeaderLines limits each header of a response. A line costs some hundred
	// bytes once it is parsed, whatever its length.
	maxHeaderLines = 500

	// maxAllLines limits a response's header together with the 1xx ones before it,
	// which are not kept.
	maxAllLines = 4 * maxHeaderLines
)

// A headerReader reads from a connection and fails when a header has too many bytes
// or lines, before it is parsed. Bodies are read without limits.
type headerReader struct {
	conn net.Conn

	bytes    int  // that are left
	lines    int  // that are left
	inHeader int  // lines that are left of the present header
	scanning bool // inside a header that [http.ReadResponse] reads

	line       [len(contentLength)]byte // the beginning of the present line
	lineLen    int                      // of it, of which line has the first
	length     bool                     // there was a Content-Length
	chunked    bool                     // there was a Transfer-Encoding
	twoLengths bool                     // there were both, in one header
}

const (
	contentLength    = "content-length:"
	transferEncoding = "transfer-encodi" // as much of it as is kept
)

// limit lets that many bytes and lines be read until the next lift.
func (r *headerReader) limit(bytes, lines int) {
	r.bytes, r.lines, r.inHeader, r.scanning, r.twoLengths = bytes, lines, lines, false, false
}

// lift ends what limit began.
func (r *headerReader) lift() {
	r.bytes, r.scanning = math.MaxInt, false
}

// exceeded reports whether there was too much.
func (r *headerReader) exceeded() bool { return r.bytes <= 0 || r.inHeader < 0 }

// begin begins a header, whose first bytes were read already. It reports
// whether they are within the limit.
func (r *headerReader) begin(buffered []byte) bool {
	r.lineLen, r.length, r.chunked, r.scanning = 0, false, false, true
	r.inHeader = min(r.lines, maxHeaderLines+1) // the status line is one, too
	return r.scan(buffered)
}

func (r *headerReader) Read(p []byte) (int, error) {
	if r.bytes <= 0 {
		return 0, errHeadersTooLarge
	}
	if len(p) > r.bytes {
		p = p[:r.bytes]
	}
	n, err := r.conn.Read(p)
	if r.bytes != math.MaxInt {
		r.bytes -= n
	}
	if r.scanning && !r.scan(p[:n]) {
		return 0, errHeadersTooLarge
	}
	return n, err
}

// scan goes on in a header, until the empty line at its end. It reports whether
// there are lines left.
func (r *headerReader) scan(p []byte) bool {
	for r.scanning && len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		rest := p
		if end >= 0 {
			rest = p[:end]
		}
		if r.lineLen < len(r.line) {
			copy(r.line[r.lineLen:], rest)
		}
		r.lineLen += len(rest)
		if end < 0 {
			return true
		}
		p = p[end+1:]
		if r.endLine(); r.inHeader < 0 {
			return false
		}
	}
	return true
}

// endLine counts and looks at the line that has ended.
func (r *headerReader) endLine() {
	line := r.line[:min(r.lineLen, len(r.line))]
	r.lineLen = 0
	if len(line) == 0 || len(line) == 1 && line[0] == '\r' {
		r.scanning = false
		r.twoLengths = r.twoLengths || r.length && r.chunked
		return
	}
	r.lines--
	r.inHeader--
	switch {
	case bytes.EqualFold(line, []byte(contentLength)):
		r.length = true
	case bytes.EqualFold(line, []byte(transferEncoding)):
		r.chunked = true
	}
}
