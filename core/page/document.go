package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed" // document.html
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
)

// html is the page, made by go generate.
//
//go:embed document.html
var html []byte

// A document is the page as it is served.
type document struct {
	gzip   []byte
	etag   string // weak: the page and its gzip have the same
	policy string // Content-Security-Policy
}

// loaded returns the document.
var loaded = sync.OnceValue(load)

func load() *document {
	sum := sha256.Sum256(html)
	return &document{
		gzip:   compress(html),
		etag:   `W/"` + hex.EncodeToString(sum[:8]) + `"`,
		policy: policy(element("style"), element(`script type="module"`)),
	}
}

// element returns the content of the page's only element with this start tag.
func element(start string) string {
	name, _, _ := strings.Cut(start, " ")
	_, rest, _ := strings.Cut(string(html), "<"+start+">")
	text, _, _ := strings.Cut(rest, "</"+name+">")
	return text
}

// policy lets the page run its own script, show its own style and call its own
// origin, and nothing else. Trusted Types keep text from becoming markup.
func policy(style, script string) string {
	return strings.Join([]string{
		"default-src 'none'",
		"script-src " + source(script),
		"style-src " + source(style),
		"connect-src 'self'",
		"img-src data:",
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
		"trusted-types 'none'",
	}, "; ")
}

// source returns the source expression that allows exactly text.
func source(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// gzipBlock is how many bytes share one Huffman code. The page's markup, its
// script and its Chinese words each compress better with one of their own.
const gzipBlock = 13_000

func compress(p []byte) []byte {
	var b bytes.Buffer
	zw, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // a valid level
	for block := range slices.Chunk(p, gzipBlock) {
		_, _ = zw.Write(block) // into memory
		_ = zw.Flush()
	}
	_ = zw.Close()
	return b.Bytes()
}
