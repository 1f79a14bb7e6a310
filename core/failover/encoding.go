package failover

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// maxCodings is how many content codings of one response are decoded.
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

// readable returns a copy of h that accepts of its encodings only those that decode
// supports.
func readable(h http.Header) http.Header {
	var accepted []string
	for _, value := range h["Accept-Encoding"] {
		for coding := range strings.SplitSeq(value, ",") {
			name, _, _ := strings.Cut(strings.ToLower(coding), ";") // the rest is its weight
			name = strings.Trim(name, " \t")
			if name == "identity" || name != "" && areKnown([]string{name}) {
				accepted = append(accepted, strings.Trim(coding, " \t"))
			}
		}
	}
	if len(accepted) == 0 {
		accepted = []string{"identity"}
	}
	out := maps.Clone(h)
	out["Accept-Encoding"] = []string{strings.Join(accepted, ", ")}
	return out
}

// areKnown reports whether decode supports codings. The standard library has neither
// brotli nor zstd.
func areKnown(codings []string) bool {
	return len(codings) <= maxCodings && !slices.ContainsFunc(codings, func(coding string) bool {
		switch coding {
		case "gzip", "x-gzip", "deflate":
			return false
		}
		return true
	})
}

// decode returns up to maxPeek decoded bytes of text, which may be truncated, or
// nothing if text is not valid.
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
	// What was decoded before an error is valid: text may be truncated.
	plain, _ := io.ReadAll(io.LimitReader(decoded, maxPeek))
	return plain
}

// decoder returns a reader that decodes coding, or nil if r does not begin with its
// header.
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

// inflater returns a reader that decodes deflate, with or without zlib's header, which
// some servers omit (RFC 9110, section 8.4.1.2).
func inflater(r io.Reader) io.Reader {
	text, _ := io.ReadAll(io.LimitReader(r, maxPeek))
	if zr, err := zlib.NewReader(bytes.NewReader(text)); err == nil {
		return zr
	}
	return flate.NewReader(bytes.NewReader(text))
}
