package core_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/relay/core"
	"example.com/relay/core/protocol"
)

// The tables of settings and errors in docs/ say what the code says.
func TestDocsAreUpToDate(t *testing.T) {
	for _, table := range []struct{ file, name, want string }{
		{"../docs/configuration.md", "settings", settingsTable()},
		{"../docs/errors.md", "errors", errorsTable(t)},
	} {
		page, err := os.ReadFile(table.file)
		if err != nil {
			t.Fatal(err)
		}
		begin, end := "<!-- begin "+table.name+": written by make docs -->\n", "<!-- end "+table.name+" -->"
		before, rest, hasBegin := strings.Cut(string(page), begin)
		got, after, hasEnd := strings.Cut(rest, end)
		switch {
		case !hasBegin || !hasEnd:
			t.Errorf("%s has no section %s", table.file, table.name)
		case got == table.want:
		case *core.Update:
			if err := os.WriteFile(table.file, []byte(before+begin+table.want+end+after), 0o644); err != nil {
				t.Fatal(err)
			}
		default:
			t.Errorf("%s is out of date: run make docs. It has\n%s\nwant\n%s", table.file, got, table.want)
		}
	}
}

// settingsTable returns the settings as a table in Markdown.
func settingsTable() string {
	var b strings.Builder
	b.WriteString("| Setting | Default | Meaning |\n| --- | --- | --- |\n")
	for _, s := range core.Settings() {
		value := ""
		if s.Default != "" {
			value = "`" + s.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.Name, value, s.Usage)
	}
	return b.String()
}

// errorsTable returns the errors of the core and the adapters as a table in
// Markdown, with the meaning of each to a gateway, which each must have.
func errorsTable(t *testing.T) string {
	errs := declaredErrors(t)
	if len(errs) < 25 {
		t.Errorf("found %d error codes, want those of core and its adapters", len(errs))
	}
	known := make(map[string]bool)
	var b strings.Builder
	b.WriteString("| Code | Status | SDKs retry | Proof | Fault | Message |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, e := range errs {
		known[e.Code] = true
		meaning, ok := protocol.Meanings[e.Code]
		if !ok {
			t.Errorf("%s has no meaning to a gateway in protocol.Meanings", e.Code)
		}
		fmt.Fprintf(&b, "| `%s` | %d | %s | %s | %s | %s |\n", e.Code, e.Status, retries(e),
			proofs[meaning.Proof], faults[meaning.Fault], strings.ReplaceAll(e.Msg, "<", "&lt;"))
	}
	for code := range protocol.Meanings {
		if !known[code] {
			t.Errorf("protocol.Meanings has %s, which is no error of a relay", code)
		}
	}
	return b.String()
}

var (
	proofs = map[protocol.Proof]string{
		protocol.Final: "final", protocol.Unprocessed: "not processed", protocol.Ambiguous: "ambiguous",
	}
	faults = map[protocol.Fault]string{
		protocol.Client: "client", protocol.Relay: "relay", protocol.API: "API", protocol.Operator: "operator",
	}
)

// retries says whether official SDKs retry a request upon e, and when. A time that is
// negative is the longest of several.
func retries(e core.Error) string {
	switch {
	case e.NoRetry, e.Status < 500 && e.Status != http.StatusRequestTimeout &&
		e.Status != http.StatusConflict && e.Status != http.StatusTooManyRequests:
		return "no"
	case e.RetryAfter > 0:
		return "after " + e.RetryAfter.String()
	case e.RetryAfter < 0:
		return "after up to " + (-e.RetryAfter).String()
	}
	return "yes"
}

// declaredErrors returns the errors that the sources of core and its adapters
// declare, one for each code, by status. An error that is declared twice has
// both messages.
func declaredErrors(t *testing.T) []core.Error {
	var errs []core.Error
	for _, folder := range []string{".", "../lambda", "../gcf", "../vercel"} {
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if lit, ok := n.(*ast.CompositeLit); ok && isErrorType(lit.Type) {
					errs = appendError(t, errs, lit)
				}
				return true
			})
		}
	}
	slices.SortStableFunc(errs, func(a, b core.Error) int { return cmp.Compare(a.Status, b.Status) })
	return errs
}

// isErrorType reports whether a type is written Error or core.Error.
func isErrorType(typ ast.Expr) bool {
	if sel, ok := typ.(*ast.SelectorExpr); ok {
		x, ok := sel.X.(*ast.Ident)
		return ok && x.Name == "core" && sel.Sel.Name == "Error"
	}
	id, ok := typ.(*ast.Ident)
	return ok && id.Name == "Error"
}

// appendError appends the error that lit declares, or adds its message to the
// one of the same code.
func appendError(t *testing.T, errs []core.Error, lit *ast.CompositeLit) []core.Error {
	var e core.Error
	for _, elt := range lit.Elts {
		field := elt.(*ast.KeyValueExpr)
		switch name := field.Key.(*ast.Ident).Name; name {
		case "Status":
			e.Status = int(number(t, field.Value))
		case "Code":
			e.Code = text(t, field.Value)
		case "Msg":
			e.Msg = text(t, field.Value)
		case "RetryAfter":
			e.RetryAfter = time.Duration(number(t, field.Value))
		case "NoRetry":
			e.NoRetry = field.Value.(*ast.Ident).Name == "true"
		}
	}
	if e.Status < 400 || e.Code == "" || e.Msg == "" {
		t.Errorf("an error is declared without its status, code or message: %+v", e)
	}
	if i := slices.IndexFunc(errs, func(known core.Error) bool { return known.Code == e.Code }); i >= 0 {
		if known := errs[i].RetryAfter; e.RetryAfter != known {
			errs[i].RetryAfter = -max(known, e.RetryAfter, -known) // see retries
		}
		errs[i].Msg += " Or: " + e.Msg
		return errs
	}
	return append(errs, e)
}

// number evaluates an expression such as http.StatusNotFound or
// 500 * time.Millisecond.
func number(t *testing.T, expr ast.Expr) int64 {
	switch expr := expr.(type) {
	case *ast.BinaryExpr:
		if expr.Op == token.MUL {
			return number(t, expr.X) * number(t, expr.Y)
		}
	case *ast.BasicLit:
		if n, err := strconv.ParseInt(expr.Value, 0, 64); err == nil {
			return n
		}
	case *ast.SelectorExpr:
		switch expr.Sel.Name {
		case "Millisecond":
			return int64(time.Millisecond)
		case "Second":
			return int64(time.Second)
		}
		for status := 400; status < 600; status++ {
			if name := http.StatusText(status); name != "" &&
				expr.Sel.Name == "Status"+strings.ReplaceAll(name, " ", "") {
				return int64(status)
			}
		}
	}
	t.Fatalf("cannot evaluate %s", types.ExprString(expr))
	return 0
}

// text evaluates a string, or a constant of package protocol that holds one.
func text(t *testing.T, expr ast.Expr) string {
	switch expr := expr.(type) {
	case *ast.BinaryExpr:
		if expr.Op == token.ADD {
			return text(t, expr.X) + text(t, expr.Y)
		}
	case *ast.BasicLit:
		if s, err := strconv.Unquote(expr.Value); err == nil {
			return s
		}
	case *ast.SelectorExpr:
		switch expr.Sel.Name {
		case "InvalidToken":
			return protocol.InvalidToken
		case "Loop":
			return protocol.Loop
		case "Internal":
			return protocol.Internal
		}
	}
	t.Fatalf("cannot evaluate %s", types.ExprString(expr))
	return ""
}
