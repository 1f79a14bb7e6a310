package fakeopenai

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
)

// writeRawHead takes the connection and writes a head that net/http would not:
// one with a status or a framing that is wrong. The body follows in pieces, and
// its end is the end of the connection.
func (x *wire) writeRawHead(a response, f Fault) {
	pieces := slices.Collect(a.pieces)
	h := a.header.Clone()
	h.Set("Connection", "close")
	h.Del("Content-Length")

	var head bytes.Buffer
	fmt.Fprintf(&head, "HTTP/1.1 %s\r\n", statusLine(a.status, f.oddStatus()))
	h.Write(&head) //nolint:errcheck // a Buffer never fails
	head.WriteString(rawLines(f, len(bytes.Join(pieces, nil))))
	head.WriteString("\r\n")

	x.take()
	x.chunked = f.head == "cl-te"
	out := head.Bytes()
	if f.head == "bare-lf" {
		out = bytes.ReplaceAll(out, []byte("\r\n"), []byte("\n"))
	}
	if _, err := x.conn.Write(out); err != nil {
		panic(http.ErrAbortHandler)
	}
}

func statusLine(status int, odd string) string {
	if odd != "" {
		return odd + " Odd"
	}
	return fmt.Sprintf("%d %s", status, http.StatusText(status))
}

// rawLines returns the header lines that make the head malformed, and those
// that give the length n of the body, or another.
func rawLines(f Fault, n int) string {
	switch f.head {
	case "short-cl":
		return lengthLine(n + 100)
	case "long-cl":
		return lengthLine(n / 2)
	case "two-cl":
		return lengthLine(n) + lengthLine(n+7)
	case "cl-te":
		return lengthLine(n) + "Transfer-Encoding: chunked\r\n"
	case "close-delimited":
		return ""
	case "header-nul":
		return "X-Nul: a\x00b\r\n" + lengthLine(n)
	case "obs-fold":
		return "X-Folded: a\r\n b\r\n" + lengthLine(n)
	}
	return lengthLine(n)
}

func lengthLine(n int) string {
	return fmt.Sprintf("Content-Length: %d\r\n", n)
}
