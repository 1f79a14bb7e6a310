// Command pagebuild makes the relay's page, one document, from the sources in
// core/page/src: page.html with page.css and, bundled by esbuild, main.mjs and
// the modules and the table of clients that it imports. The document is part of the repository, and
// tests fail if it is out of date. It is run by
//
//	go generate ./core/page
//
// It is a module of its own so that the relay's go.mod does not name esbuild.
package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
	css, err := style(filepath.Join(src, "page.css"))
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
	text := regexp.MustCompile(`\n +`).ReplaceAllString(string(html), "\n")
	for _, part := range []struct{ place, content string }{
		{stylePlace, "<style>" + css + "</style>"},
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

// style returns a style sheet without the blanks that browsers do not need.
func style(file string) (string, error) {
	css, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	result := api.Transform(string(css), api.TransformOptions{
		Loader: api.LoaderCSS, Sourcefile: file, MinifyWhitespace: true, MinifySyntax: true, Charset: api.CharsetUTF8,
	})
	return strings.TrimSpace(string(result.Code)), complaint(file, result.Errors, result.Warnings)
}

// bundle returns a module and all that it imports as one short script: a
// function's first response is slow enough.
func bundle(module string) (string, error) {
	result := api.Build(api.BuildOptions{
		EntryPoints:       []string{module},
		Bundle:            true,
		Format:            api.FormatESModule,
		Charset:           api.CharsetUTF8, // half of the texts are Chinese
		Plugins:           []api.Plugin{clients, words},
		MinifyWhitespace:  true,
		MinifySyntax:      true,
		MinifyIdentifiers: true,
	})
	if err := complaint(module, result.Errors, result.Warnings); err != nil {
		return "", err
	}
	script := string(result.OutputFiles[0].Contents)
	if strings.Contains(strings.ToLower(script), "</script") {
		return "", errors.New("the script would end its own element")
	}
	return script, nil
}

// complaint returns the first of what esbuild complains of, or nil.
func complaint(file string, lists ...[]api.Message) error {
	all := slices.Concat(lists...)
	if len(all) == 0 {
		return nil
	}
	first := all[0]
	if at := first.Location; at != nil {
		file = fmt.Sprintf("%s:%d", at.File, at.Line)
	}
	return fmt.Errorf("%s: %s", file, first.Text)
}

// A client is what the page shows of one in clients.json, the table from which
// docs/clients.md is made.
type client struct {
	Name     string            `json:"name"`
	Kind     string            `json:"kind"`
	Settings []setting         `json:"settings,omitempty"`
	Env      map[string]string `json:"env,omitempty"`
	Snippets []snippet         `json:"snippets,omitempty"`
	Link     json.RawMessage   `json:"link,omitempty"`
}

type setting struct {
	Where   string `json:"where"`
	WhereZH string `json:"where_zh,omitempty"`
	Value   string `json:"value"`
}

type snippet struct {
	File   string `json:"file,omitempty"`
	When   string `json:"when,omitempty"`
	WhenZH string `json:"when_zh,omitempty"`
	Text   string `json:"text"`
}

// clients loads the table of clients without what the page has no room for: all
// but chat apps and the coding agents that tests run, and what is only for docs.
var clients = api.Plugin{Name: "clients", Setup: func(build api.PluginBuild) {
	build.OnLoad(api.OnLoadOptions{Filter: `/clients\.json$`}, func(args api.OnLoadArgs) (api.OnLoadResult, error) {
		text, err := os.ReadFile(args.Path)
		if err != nil {
			return api.OnLoadResult{}, err
		}
		contents, err := shorten(text)
		return api.OnLoadResult{Contents: &contents, Loader: api.LoaderJSON}, err
	})
}}

func shorten(table []byte) (string, error) {
	var all struct {
		Clients []struct {
			client
			Relay   string `json:"relay"` // settings that another API's relay has
			Package string `json:"package"`
		} `json:"clients"`
	}
	if err := json.Unmarshal(table, &all); err != nil {
		return "", err
	}
	shown := []client{}
	for _, c := range all.Clients {
		switch {
		case c.Kind == "chat":
			c.Env = nil // its settings are enough
		case c.Kind == "agent" && c.Package != "" && c.Relay == "":
			c.Settings = nil // its snippets and variables hold them
			for i, s := range c.Snippets {
				c.Snippets[i].When, _, _ = strings.Cut(s.When, " (")
			}
		default:
			continue
		}
		shown = append(shown, c.client)
	}
	text, err := json.Marshal(map[string]any{"clients": shown})
	return string(text), err
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
	return fmt.Sprintf("%x", h.Sum(nil)[:8]), nil
}
