// Command pagebuild makes the relay's page, one document, from the sources in
// core/page/src: page.html with page.css and, bundled by esbuild, main.mjs and
// the modules that it imports. The document is part of the repository, and
// tests fail if it is out of date. It is run by
//
//	go generate ./core/page
//
// It is a module of its own so that the relay's go.mod does not name esbuild.
package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// page is the folder of the page, seen from here.
const page = "../../core/page"

// The places in page.html that the style, the script and a note are put into.
const (
	stylePlace  = "<style></style>"
	scriptPlace = `<script type="module"></script>`
	notePlace   = "<!doctype html>\n"
)

func main() {
	document, err := build(filepath.Join(page, "src"))
	if err == nil {
		err = os.WriteFile(filepath.Join(page, "document.html"), document, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pagebuild:", err)
		os.Exit(1)
	}
}

// build returns the document that the sources in a folder make.
func build(src string) ([]byte, error) {
	html, err := os.ReadFile(filepath.Join(src, "page.html"))
	if err != nil {
		return nil, err
	}
	css, err := os.ReadFile(filepath.Join(src, "page.css"))
	if err != nil {
		return nil, err
	}
	script, err := bundle(filepath.Join(src, "main.mjs"))
	if err != nil {
		return nil, err
	}
	sum, err := digest(src)
	if err != nil {
		return nil, err
	}
	text := string(html)
	for _, part := range []struct{ place, content string }{
		{stylePlace, "<style>" + string(css) + "</style>"},
		{scriptPlace, `<script type="module">` + "\n" + script + "</script>"},
		{notePlace, notePlace + "<!-- Made of core/page/src by go generate ./core/page; sha256 " + sum + " -->\n"},
	} {
		if strings.Count(text, part.place) != 1 {
			return nil, fmt.Errorf("page.html must have %q once", part.place)
		}
		text = strings.Replace(text, part.place, part.content, 1)
	}
	return []byte(text), nil
}

// bundle returns a module and all that it imports as one script. It stays
// readable in the browser's tools: the page is small enough as it is.
func bundle(module string) (string, error) {
	result := api.Build(api.BuildOptions{
		EntryPoints: []string{module},
		Bundle:      true,
		Format:      api.FormatESModule,
		Charset:     api.CharsetUTF8, // half of the texts are Chinese
	})
	if wrong := append(result.Errors, result.Warnings...); len(wrong) > 0 {
		where := module
		if at := wrong[0].Location; at != nil {
			where = fmt.Sprintf("%s:%d", at.File, at.Line)
		}
		return "", fmt.Errorf("%s: %s", where, wrong[0].Text)
	}
	script := string(result.OutputFiles[0].Contents)
	if strings.Contains(strings.ToLower(script), "</script") {
		return "", errors.New("the script would end its own element")
	}
	return script, nil
}

// digest returns a hash of the names and contents in a folder, by which
// core/page's test, which has no esbuild, knows a document that is out of date.
func digest(dir string) (string, error) {
	h := sha256.New()
	files, err := os.ReadDir(dir) // sorted
	if err != nil {
		return "", err
	}
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n%s", f.Name(), len(content), content)
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}
