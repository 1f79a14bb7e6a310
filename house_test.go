// Package relay_test keeps the house as it is meant to be: what no compiler
// and no linter checks of the repository as a whole.
package relay_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// A source is a Go file of the repository, in whichever of its modules.
type source struct {
	name string // from the root, with slashes
	text string
	file *ast.File
	fset *token.FileSet
}

func (s source) dir() string          { return path.Dir(s.name) }
func (s source) isTest() bool         { return strings.HasSuffix(s.name, "_test.go") }
func (s source) isIn(dir string) bool { return strings.HasPrefix(s.name, dir+"/") }

func (s source) at(pos token.Pos) string {
	return fmt.Sprintf("%s:%d", s.name, s.fset.Position(pos).Line)
}

// walk calls f with the name of every file of the repository, from the root
// and with slashes.
func walk(t *testing.T, f func(name string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !d.IsDir():
			f(filepath.ToSlash(name))
		case name != "." && strings.HasPrefix(d.Name(), "."),
			slices.Contains([]string{"dist", "node_modules", "testdata"}, d.Name()):
			return filepath.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sources returns all Go files.
func sources(t *testing.T) []source {
	t.Helper()
	var list []source
	walk(t, func(name string) {
		if !strings.HasSuffix(name, ".go") {
			return
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, source{name, string(text), file, fset})
	})
	if len(list) < 100 {
		t.Fatalf("found %d Go files: is this the root of the repository?", len(list))
	}
	return list
}

func TestPackagesHaveComments(t *testing.T) {
	comments := make(map[string]int) // by folder
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		comments[s.dir()] += 0
		if s.file.Doc == nil {
			continue
		}
		comments[s.dir()]++
		begin := "Package " + s.file.Name.Name + " "
		if s.file.Name.Name == "main" {
			begin = "Command "
		}
		if text := s.file.Doc.Text(); !strings.HasPrefix(text, begin) {
			t.Errorf("%s: the comment of the package must begin with %q, not %.30q", s.name, begin, text)
		}
	}
	for dir, n := range comments {
		if n != 1 {
			t.Errorf("%s: %d comments of the package, want one", dir, n)
		}
	}
}

func TestExportedNamesAreDocumented(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() || s.file.Name.Name == "main" {
			continue
		}
		for _, decl := range s.file.Decls {
			for _, name := range undocumented(decl) {
				t.Errorf("%s: %s is exported and has no comment", s.at(name.Pos()), name)
			}
		}
	}
}

// undocumented returns the exported names of a declaration that have no
// comment. One for a group is enough for the constants and variables in it, and
// what Error and String do, everybody knows.
func undocumented(decl ast.Decl) []*ast.Ident {
	var names []*ast.Ident
	switch d := decl.(type) {
	case *ast.FuncDecl:
		known := d.Recv != nil && (d.Name.Name == "Error" || d.Name.Name == "String")
		if d.Doc == nil && !known && (d.Recv == nil || receiver(d).IsExported()) {
			names = append(names, d.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
					names = append(names, spec.Name)
				}
			case *ast.ValueSpec:
				if d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
					names = append(names, spec.Names...)
				}
			}
		}
	}
	return slices.DeleteFunc(names, func(name *ast.Ident) bool { return !name.IsExported() })
}

// receiver returns the name of a method's type.
func receiver(d *ast.FuncDecl) *ast.Ident {
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x
		default:
			panic(fmt.Sprintf("a receiver of type %T", t))
		}
	}
}

const module = "example.com/relay"

// What is deployed must not drag in what tests and measures need.
func TestImports(t *testing.T) {
	rules := []struct {
		of, why string
		ok      func(path string) bool
	}{
		{"core", "core imports the standard library and itself only", func(p string) bool {
			first, _, _ := strings.Cut(p, "/")
			return !strings.Contains(first, ".") || strings.HasPrefix(p, "golang.org/x/") ||
				p == module+"/core" || strings.HasPrefix(p, module+"/core/")
		}},
		{"internal", "internal does not import bench",
			func(p string) bool { return !strings.HasPrefix(p, module+"/bench") }},
	}
	for _, s := range sources(t) {
		for _, rule := range rules {
			if !s.isIn(rule.of) || rule.of == "core" && s.isTest() {
				continue
			}
			for _, spec := range s.file.Imports {
				if p, _ := strconv.Unquote(spec.Path.Value); !rule.ok(p) {
					t.Errorf("%s: imports %s, but %s", s.at(spec.Pos()), p, rule.why)
				}
			}
		}
	}
}

func TestFunctionsAreShort(t *testing.T) {
	const maxLines = 60
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1; n > maxLines {
				t.Errorf("%s: %s has %d lines, want at most %d", s.at(f.Pos()), f.Name, n, maxLines)
			}
		}
	}
}

// Lines inside a multi-line string literal are exempt: their text decides their length.
func TestLinesAreShort(t *testing.T) {
	const maxColumns = 120 // a tab is four
	for _, s := range sources(t) {
		text := make(map[int]bool) // lines of such strings
		ast.Inspect(s.file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok {
				first, last := s.fset.Position(lit.Pos()).Line, s.fset.Position(lit.End()).Line
				for line := first; last > first && line <= last; line++ {
					text[line] = true
				}
			}
			return true
		})
		number := 0
		for line := range strings.Lines(s.text) {
			number++
			line = strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "\t", "    ")
			if n := utf8.RuneCountInString(line); n > maxColumns && !text[number] {
				t.Errorf("%s:%d: %d columns, want at most %d", s.name, number, n, maxColumns)
			}
		}
	}
}
