package conn

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
)

// maxFields is the max number of header lines of an ordinary response.
const maxFields = 48

// parseFast reads the header of an ordinary response: complete in br's buffer, of
// known length, strictly well-formed. It costs a fraction of [http.ReadResponse],
// which allocates names and values one by one. Of any other response it reads
// nothing and returns nil, and net/http parses it. FuzzResponse compares the two.
func parseFast(br *bufio.Reader, req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodHead {
		return nil, nil
	}
	if _, err := br.Peek(1); err != nil {
		return nil, err
	}
	buffered, _ := br.Peek(br.Buffered())
	end := bytes.Index(buffered, []byte("\r\n\r\n"))
	if end < 0 {
		return nil, nil
	}
	var p fastHeader
	if !p.parse(buffered[:end+2]) {
		return nil, nil
	}
	_, _ = br.Discard(end + 4)
	res := &http.Response{
		Status:        p.text[:p.status],
		StatusCode:    p.code,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        p.header(),
		ContentLength: p.length,
		Request:       req,
		Body:          http.NoBody,
	}
	if p.length > 0 {
		res.Body = &lengthBody{br: br, left: p.length}
	}
	return res, nil
}

// A fastHeader is the header of an ordinary response.
type fastHeader struct {
	code   int
	length int64 // Content-Length

	text   string // the status, then each field's name and value, without anything between
	status int    // how much of it is the status
	ends   [maxFields]struct{ name, value int }
	fields int
}

// parse takes apart a header, which ends with its last line. It reports whether
// it is an ordinary one.
func (p *fastHeader) parse(b []byte) bool {
	line, b, _ := bytes.Cut(b, []byte("\r\n"))
	status, ok := bytes.CutPrefix(line, []byte("HTTP/1.1 "))
	if !ok || len(status) < 4 || status[3] != ' ' || !isValue(status) {
		return false
	}
	for _, c := range status[:3] {
		if c < '0' || c > '9' {
			return false
		}
		p.code = 10*p.code + int(c-'0')
	}
	if p.code < 200 || p.code > 599 || p.code == http.StatusNoContent || p.code == http.StatusNotModified {
		return false
	}
	var text strings.Builder
	text.Grow(len(line) + len(b))
	text.Write(status)
	p.status, p.length = text.Len(), -1
	for len(b) > 0 {
		line, b, _ = bytes.Cut(b, []byte("\r\n"))
		colon := bytes.IndexByte(line, ':')
		if colon <= 0 || p.fields == maxFields {
			return false
		}
		name, value := line[:colon], bytes.Trim(line[colon+1:], " \t")
		start := text.Len()
		if !appendName(&text, name) || !isValue(value) || !p.frames(text.String()[start:], value) {
			return false
		}
		p.ends[p.fields].name = text.Len()
		text.Write(value)
		p.ends[p.fields].value = text.Len()
		p.fields++
	}
	p.text = text.String()
	return p.length >= 0
}

// frames notes what a field says of the body and the connection. It reports
// whether that is ordinary.
func (p *fastHeader) frames(name string, value []byte) bool {
	switch name {
	case "Content-Length":
		if p.length >= 0 || len(value) == 0 || len(value) > 15 {
			return false
		}
		p.length = 0
		for _, c := range value {
			if c < '0' || c > '9' {
				return false
			}
			p.length = 10*p.length + int64(c-'0')
		}
	case "Connection":
		return bytes.EqualFold(value, []byte("keep-alive"))
	case "Transfer-Encoding", "Trailer", "Pragma", "Upgrade":
		return false
	}
	return true
}

// header returns the fields as net/http has them.
func (p *fastHeader) header() http.Header {
	h := make(http.Header, p.fields)
	values := make([]string, p.fields)
	start := p.status
	for i, end := range p.ends[:p.fields] {
		name := p.text[start:end.name]
		values[i] = p.text[end.name:end.value]
		start = end.value
		if before, ok := h[name]; ok {
			h[name] = append(before, values[i])
			continue
		}
		h[name] = values[i : i+1 : i+1]
	}
	return h
}

// appendName appends a field's name in its canonical form. It reports whether
// it is an ordinary one, of letters, digits and hyphens.
func appendName(text *strings.Builder, name []byte) bool {
	upper := true
	for _, c := range name {
		switch {
		case 'a' <= c && c <= 'z':
			if upper {
				c -= 'a' - 'A'
			}
		case 'A' <= c && c <= 'Z':
			if !upper {
				c += 'a' - 'A'
			}
		case '0' <= c && c <= '9' || c == '-':
		default:
			return false
		}
		text.WriteByte(c)
		upper = c == '-'
	}
	return true
}

// isValue reports whether b can stand in a header line (RFC 9110, section 5.5).
func isValue(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// A lengthBody is a body of known length, of which left bytes are to come.
type lengthBody struct {
	br   *bufio.Reader
	left int64
}

func (b *lengthBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.br.Read(p)
	b.left -= int64(n)
	switch {
	case b.left == 0:
		err = io.EOF
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Close does nothing: the connection is not the body's.
func (b *lengthBody) Close() error { return nil }
