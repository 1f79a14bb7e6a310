package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed" // document.html
	"encoding/base64"
	"encoding/hex"
	"strings"
	"sync"
	"unicode/utf8"
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

// compress ends a block after the style and where Chinese begins or ends: each
// compresses better with a Huffman code of its own.
func compress(p []byte) []byte {
	const step, around = 32, 256
	var b bytes.Buffer
	zw, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // a valid level
	style := bytes.Index(p, []byte("</style>"))
	begin, chinese := 0, false
	for at := step; at < len(p); at += step {
		was := chinese
		chinese = isChinese(p[max(0, at-around):min(at+around, len(p))])
		if chinese != was || at-step <= style && style < at {
			_, _ = zw.Write(p[begin:at]) // into memory
			_ = zw.Flush()
			begin = at
		}
	}
	_, _ = zw.Write(p[begin:])
	_ = zw.Close()
	return b.Bytes()
}

// isChinese reports whether more than half of p is not ASCII.
func isChinese(p []byte) bool {
	n := 0
	for _, c := range p {
		if c >= utf8.RuneSelf {
			n++
		}
	}
	return n > len(p)/2
}
