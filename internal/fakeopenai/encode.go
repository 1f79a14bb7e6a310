package fakeopenai

import (
	"bytes"
	"compress/gzip"
	"iter"
	"slices"
)

// encoded returns a in a content encoding. Every piece is flushed by the
// encoder, so that a stream stays one.
func encoded(a response, encoding string) response {
	a.header.Set("Content-Encoding", encoding)
	if encoding == "gzip" {
		a.pieces = gzipped(a.pieces)
	} else {
		a.pieces = brotlied(a.pieces)
	}
	if a.length < 0 {
		return a
	}
	body := bytes.Join(slices.Collect(a.pieces), nil)
	a.pieces = slices.Values([][]byte{body})
	a.length = int64(len(body))
	return a
}

func gzipped(pieces iter.Seq[[]byte]) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		var buf bytes.Buffer
		zw := gzip.NewWriter(&buf)
		for piece := range pieces {
			zw.Write(piece) //nolint:errcheck // a Buffer never fails
			zw.Flush()      //nolint:errcheck
			if !yield(bytes.Clone(buf.Bytes())) {
				return
			}
			buf.Reset()
		}
		zw.Close() //nolint:errcheck
		yield(buf.Bytes())
	}
}

// brotlied writes real brotli that compresses nothing: the format has blocks of
// plain bytes (RFC 7932 section 9.2), and the standard library has no encoder.
func brotlied(pieces iter.Seq[[]byte]) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		first := true
		for piece := range pieces {
			var out []byte
			for part := range slices.Chunk(piece, 1<<16) {
				out = append(append(out, brotliHead(len(part), first)...), part...)
				first = false
			}
			if len(out) > 0 && !yield(out) {
				return
			}
		}
		if first {
			yield([]byte{0x06}) // the empty stream
			return
		}
		yield([]byte{0x03}) // the last, empty block
	}
}

// brotliHead returns the head of a block of n plain bytes, padded to whole
// bytes. From the lowest bit: WBITS (0, at the very start), ISLAST (0),
// MNIBBLES (00, which is four), MLEN-1 in 16 bits, ISUNCOMPRESSED (1).
func brotliHead(n int, first bool) []byte {
	bits := (n-1)<<3 | 1<<19
	if first {
		bits <<= 1
	}
	return []byte{byte(bits), byte(bits >> 8), byte(bits >> 16)}
}

// commented puts into an event stream what its grammar allows and naive
// parsers do not expect: a BOM, comments, and lines that end in CRLF.
func commented(pieces iter.Seq[[]byte]) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if !yield([]byte("\ufeff: still thinking\r\n\r\n")) {
			return
		}
		for piece := range pieces {
			crlf := bytes.ReplaceAll(piece, []byte("\n"), []byte("\r\n"))
			if !yield(append([]byte(": keep-alive\r\n\r\n"), crlf...)) {
				return
			}
		}
	}
}
