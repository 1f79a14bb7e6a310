package failover

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"slices"
	"strings"
)

// maxCodings is how many codings of a response are undone, one after the other.
const maxCodings = 3

// encodings returns the content codings in h in the order in which they were
// applied, in lower case (RFC 9110, section 8.4). identity is none.
func encodings(h http.Header) []string {
	var codings []string
	for _, value := range h["Content-Encoding"] {
		for coding := range strings.SplitSeq(value, ",") {
			coding = strings.ToLower(strings.Trim(coding, " \t"))
			if coding != "" && coding != "identity" {
				codings = append(codings, coding)
			}
		}
	}
	return codings
}

// areKnown reports whether decode can undo codings. The standard library has no
// brotli and no zstd.
func areKnown(codings []string) bool {
	return len(codings) <= maxCodings && !slices.ContainsFunc(codings, func(coding string) bool {
		switch coding {
		case "gzip", "x-gzip", "deflate":
			return false
		}
		return true
	})
}

// decode returns up to maxPeek bytes of what text, which may end early, is the
// encoding of; or nothing if it is not valid.
func decode(text []byte, codings []string) []byte {
	if len(codings) == 0 {
		return text
	}
	var decoded io.Reader = bytes.NewReader(text)
	for _, coding := range slices.Backward(codings) {
		if decoded = decoder(decoded, coding); decoded == nil {
			return nil
		}
	}
	// What comes before an error is good: the text may end early.
	plain, _ := io.ReadAll(io.LimitReader(decoded, maxPeek))
	return plain
}

// decoder returns a reader that undoes coding, or nil if r does not begin so.
func decoder(r io.Reader, coding string) io.Reader {
	if coding == "deflate" {
		return inflater(r)
	}
	zr, err := gzip.NewReader(r)
	if err != nil {
		return nil
	}
	return zr
}

// inflater returns a reader of deflate, which is in zlib's format, and without it
// from some servers (RFC 9110, section 8.4.1.2).
func inflater(r io.Reader) io.Reader {
	text, _ := io.ReadAll(io.LimitReader(r, maxPeek))
	if zr, err := zlib.NewReader(bytes.NewReader(text)); err == nil {
		return zr
	}
	return flate.NewReader(bytes.NewReader(text))
}
