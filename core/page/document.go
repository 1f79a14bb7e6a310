package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
)

// Embedded files cost nothing before they are read.
//
//go:embed page.html page.css *.mjs
var files embed.FS

// A document is the page as it is handed out.
type document struct {
	html, gzip []byte
	etag       string // weak: the page and its gzip have the same
	policy     string // Content-Security-Policy
}

// The places of page.html that style and script are put into.
const (
	stylePlace  = "<style></style>"
	scriptPlace = `<script type="module"></script>`
)

// assembled returns the document. A test makes sure that it can be made.
var assembled = sync.OnceValue(func() *document {
	d, err := assemble()
	if err != nil {
		panic(err)
	}
	return d
})

func assemble() (*document, error) {
	html, err := files.ReadFile("page.html")
	if err != nil {
		return nil, err
	}
	css, err := files.ReadFile("page.css")
	if err != nil {
		return nil, err
	}
	script, err := join(files, "main.mjs")
	if err != nil {
		return nil, err
	}
	text := string(html)
	if strings.Count(text, stylePlace) != 1 || strings.Count(text, scriptPlace) != 1 {
		return nil, fmt.Errorf("page.html: want one %s and one %s", stylePlace, scriptPlace)
	}
	text = strings.Replace(text, stylePlace, "<style>"+string(css)+"</style>", 1)
	text = strings.Replace(text, scriptPlace, strings.TrimSuffix(scriptPlace, "</script>")+script+"</script>", 1)
	sum := sha256.Sum256([]byte(text))
	return &document{
		html:   []byte(text),
		gzip:   compress([]byte(text)),
		etag:   `W/"` + hex.EncodeToString(sum[:8]) + `"`,
		policy: policy(string(css), script),
	}, nil
}

// policy lets the page run its own script, show its own style and call its own
// origin, and nothing else. Trusted Types keep text from becoming markup.
func policy(style, script string) string {
	return strings.Join([]string{
		"default-src 'none'", "script-src " + source(script), "style-src " + source(style), "connect-src 'self'", "img-src data:",
		"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
	}, "; ")
}

// source returns the source expression that allows exactly text.
func source(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func compress(p []byte) []byte {
	var b bytes.Buffer
	zw, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // a good level
	_, _ = zw.Write(p)                                     // into memory
	_ = zw.Close()
	return b.Bytes()
}

// join returns the module name and those that it imports, each once and before
// who imports it, as one module: without their imports, the word export, and
// comments at the beginning of a line. Names at the top of a module must
// therefore be unique among all of them; the browser refuses a script in which
// two are the same. An import stands on one line, and import and export begin
// no other.
func join(fsys fs.ReadFileFS, name string) (string, error) {
	var b strings.Builder
	var joined []string
	var add func(name string) error
	add = func(name string) error {
		if slices.Contains(joined, name) {
			return nil
		}
		joined = append(joined, name)
		content, err := fsys.ReadFile(name)
		if err != nil {
			return err
		}
		if bytes.Contains(content, []byte("</script")) {
			return fmt.Errorf("%s: ends the script that it is part of", name)
		}
		var own strings.Builder
		for line := range strings.Lines(string(content)) {
			if strings.HasPrefix(line, "//") {
				continue
			}
			if !strings.HasPrefix(line, "import ") {
				own.WriteString(strings.TrimPrefix(line, "export "))
				continue
			}
			_, from, _ := strings.Cut(line, " from './")
			imported, ok := strings.CutSuffix(from, "';\n")
			if !ok {
				return fmt.Errorf("%s: cannot be joined: %s", name, line)
			}
			if err := add(imported); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		b.WriteString("\n" + own.String())
		return nil
	}
	err := add(name)
	return b.String(), err
}
