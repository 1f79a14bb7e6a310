package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDocumentIsCurrent(t *testing.T) {
	want, err := build(filepath.Join(page, "src"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(page, "document.html"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("core/page/document.html is out of date: run go generate ./core/page")
	}
}

func TestBuild(t *testing.T) {
	const html = notePlace + stylePlace + scriptPlace
	tests := []struct {
		name  string
		files map[string]string
		want  string // in the document, or in the error
	}{
		{"each module once, before those that import it", map[string]string{
			"main.mjs": "import { a } from './a.mjs';\nimport { b } from './b.mjs';\na(b);\n",
			"a.mjs":    "import { b } from './b.mjs';\nexport const a = b;\n",
			"b.mjs":    "export function b(word) {\n  console.log('中', word);\n  console.log(word);\n}\n",
		}, `(r){console.log("中",r),console.log(r)}`},
		{"no such module", map[string]string{"main.mjs": "import { a } from './a.mjs';\n"},
			`Could not resolve "./a.mjs"`},
		{"a package", map[string]string{"main.mjs": "import a from 'a';\n"}, `Could not resolve "a"`},
		{"no such export", map[string]string{
			"main.mjs": "import { a } from './a.mjs';\na();\n", "a.mjs": "export const b = 1;\n",
		}, `No matching export in`},
		{"twice the same name", map[string]string{
			"main.mjs": "import './a.mjs';\nlet x = 1;\nx++;\nconsole.log(x);\n",
			"a.mjs":    "let x = 2;\nx++;\nconsole.log(x);\n",
		}, "var o=2;o++;console.log(o);var l=1;l++;console.log(l);"},
		{"cannot end its element", map[string]string{"main.mjs": "console.log('</script>');\n"}, `"<\/script>"`},
		{"a style without its blanks", map[string]string{"main.mjs": "", "page.css": "a {\n  color: red;\n}\n"},
			"<style>a{color:red}</style>"},
		{"invalid CSS", map[string]string{"main.mjs": "", "page.css": "a { color: red; }}\n"},
			"page.css:1: Unexpected"},
		{"clients that the page shows", map[string]string{
			"main.mjs": "import { clients } from './clients.json';\nconsole.log(clients);\n",
			"clients.json": `{"clients": [{"name": "A", "kind": "chat", "works": "well", "settings": [{"where": "B", "value": "{base}"}]},
				{"name": "C", "kind": "agent", "package": "c", "env": {"D": "{key}"}, "settings": [],
				"snippets": [{"lang": "sh", "when": "J (k)", "when_zh": "L", "text": "m"}]}, {"name": "E", "kind": "agent"},
				{"name": "F", "kind": "agent", "package": "f", "relay": "G=h"}, {"name": "I", "kind": "sdk", "package": "i"}]}`,
		}, `[{name:"A",kind:"chat",settings:[{where:"B",value:"{base}"}]},{name:"C",kind:"agent",env:{D:"{key}"},` +
			`snippets:[{when:"J",when_zh:"L",text:"m"}]}];`},
		{"texts by language", map[string]string{
			"main.mjs": "import { words } from './i18n.mjs';\nconsole.log(words);\n",
			"i18n.mjs": "export const words = {\n  a: ['An apple', '苹果'],\n\n  b: [\"A bird's egg\", '蛋'],\n};\n" +
				"export const c = 1;\n",
		}, "`a An apple\nb A bird's egg`.split(`\n`),c=`苹果\n蛋`.split(`\n`)"},
		{"texts with an escape", map[string]string{
			"main.mjs": "import './i18n.mjs';\n",
			"i18n.mjs": "export const words = {\n  a: ['An \\u0041', '苹果'],\n};\n",
		}, "not a name with two texts without escapes:   a: ['An \\u0041'"},
		{"no texts", map[string]string{"main.mjs": "import './i18n.mjs';\n", "i18n.mjs": "export const words = [];\n"},
			"i18n.mjs has no words"},
		{"clients that are no JSON", map[string]string{
			"main.mjs": "import { clients } from './clients.json';\nconsole.log(clients);\n", "clients.json": "{",
		}, "unexpected end of JSON input"},
		{"no place for the style", map[string]string{"main.mjs": "", "page.html": notePlace + scriptPlace},
			"must have"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			files := map[string]string{"page.html": html, "page.css": ""}
			for name, text := range test.files {
				files[name] = text
			}
			for name, text := range files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			document, err := build(dir)
			got := string(document)
			if err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, test.want) {
				t.Errorf("got %s\nwant in it: %s", got, test.want)
			}
		})
	}
}
