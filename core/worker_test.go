package core

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/relay/core/failover"
	"example.com/relay/core/protocol"
)

var Update = flag.Bool("update", false, "write what is generated from this package, rather than compare it")

// Where the tables stand in workerFile.
const (
	workerFile  = "../cloudflare/worker.js"
	workerBegin = "// begin generated: go test ./core -run TestWorker -update\n"
	workerEnd   = "// end generated\n"
)

// Worker.js has its tables from here, so that the two cannot drift apart.
func TestWorkerTables(t *testing.T) {
	old, err := os.ReadFile(workerFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(old), workerBegin)
	_, after, ends := strings.Cut(rest, workerEnd)
	if !begins || !ends {
		t.Fatalf("%s lacks the lines\n%s%s", workerFile, workerBegin, workerEnd)
	}
	golden(t, workerFile, []byte(before+workerBegin+workerTables(t)+workerEnd+after))
}

// golden compares a file with what it should be, or rewrites it for -update.
func golden(t *testing.T, file string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(file)
	if err == nil && bytes.Equal(got, want) {
		return
	}
	if !*Update {
		t.Fatalf("%s is stale: go test ./core -run TestWorker -update, and read the diff", file)
	}
	if err := os.WriteFile(file, want, 0o644); err != nil {
		t.Fatal(err)
	}
}

// workerTables returns the generated part of worker.js.
func workerTables(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	src := parseSource(t)
	fmt.Fprintf(&b, "const VERSION = %q;\n", Version)

	names := make([]string, len(settings))
	for i, s := range settings {
		names[i] = s.Name
	}
	b.WriteString("\n/** The names of all settings. Those without a parser below are not supported here. */\n")
	fmt.Fprintf(&b, "const SETTINGS = new Set(%s);\n", jsList(names))

	b.WriteString("\n/** The errors of the relay itself; see core/errors.go. */\nconst ERRORS = {\n")
	for _, e := range src.errors(t) {
		if e.Code == errWebSocket.Code {
			e.Status = http.StatusUpgradeRequired // pending
		}
		fmt.Fprintf(&b, "  %s: { status: %d, code: %s, retryAfterMs: %d, retry: %t, "+
			"message: %s },\n",
			e.name, e.Status, js(e.Code), e.RetryAfter.Milliseconds(), !e.NoRetry, js(e.Msg))
	}
	b.WriteString("};\n")

	b.WriteString("\n/** What errors of a relay prove of the request, and whose fault they are; see core/protocol. " +
		"Others are final. */\nconst MEANINGS = {\n")
	meanings := src.meanings()
	for _, code := range slices.Sorted(maps.Keys(meanings)) {
		if meanings[code][0] == "Final" {
			continue // as what is not listed
		}
		fmt.Fprintf(&b, "  %s: { proof: %s, fault: %s },\n", code, js(meanings[code][0]), js(meanings[code][1]))
	}
	b.WriteString("};\n")

	for _, table := range []struct {
		name, about string
		names       []string
	}{
		{"DROPPED_UP", "Request headers that never reach an upstream.", src.strings(t, "droppedUp")},
		{"DROPPED_DOWN", "Response headers that never reach a client.", src.strings(t, "droppedDown")},
		{"UNDROPPABLE", "Request headers that Connection may not nominate away.", src.strings(t, "protectedHeaders")},
		{"HANDLED_UP",
			"Request headers that a stage reads or sets, so that no twin of theirs with an underscore goes up.",
			src.strings(t, "handledUp")},
		{"SAFELISTED", "Response headers that a page may read anyway, or that say nothing to it.",
			src.strings(t, "safelisted")},
		{"INERT_DESTINATIONS", "The uses to which a browser may put a response without running it.",
			src.strings(t, "inertDestinations")},
		{"FAMILIES", "The parts of the API by which the log classes requests.", src.strings(t, "families")},
	} {
		slices.Sort(table.names)
		fmt.Fprintf(&b, "\n/** %s */\nconst %s = new Set(%s);\n", table.about, table.name,
			jsList(slices.Compact(table.names)))
	}
	fmt.Fprintf(&b, "\n/** The beginnings of more names in DROPPED_UP. */\nconst DROPPED_UP_PREFIXES = %s;\n",
		jsList(src.strings(t, "droppedUpPrefixes")))
	fmt.Fprintf(&b, "\n/** The beginnings of more names in DROPPED_DOWN. */\nconst DROPPED_DOWN_PREFIXES = %s;\n",
		jsList(append(src.strings(t, "droppedDownPrefixes"), "x-relay-")))
	fmt.Fprintf(&b, "\n/** Where clients put API keys besides Authorization. */\nconst KEY_HEADERS = %s;\n",
		jsList(src.strings(t, "Headers")))
	fmt.Fprintf(&b, "\n/** What may be a part of the API that FAMILIES lacks. */\nconst PLAIN_WORDS = /%s/;\n",
		plainWords)
	fmt.Fprintf(&b, "\n/** The paths of endpoints, which are no base URLs. */\nconst ENDPOINT = /%s/;\n",
		strings.ReplaceAll(failover.EndpointPattern, "/", `\/`))

	b.WriteString("\nconst DEFAULTS = {\n")
	cfg := Config{Platform: Platform{Serverless: true}}.withDefaults()
	fmt.Fprintf(&b, "  upstream: %s, paths: %s, name: %s,\n  maxBodyBytes: %d, maxURIBytes: %d, maxHeaderBytes: %d, "+
		"maxHeaderLines: %d, maxHops: %d,\n"+
		"  maxPreflightNames: %d, maxPreflightBytes: %d, maxFamily: %d, maxDecodings: %d,\n};\n",
		js(defaultUpstream), jsInline(cfg.Paths), js(cfg.Name), cfg.MaxBodyBytes, maxURIBytes, maxHeaderBytes,
		maxHeaderLines,
		protocol.MaxHops, maxPreflightNames, maxPreflightBytes, maxFamily, maxDecodings)
	return b.String()
}

// A source is what this package, core/protocol and core/internal/apikey declare, by
// name: a variable cannot be asked for its name.
type source struct {
	names  []string // in the order of the source
	values map[string]ast.Expr
}

func parseSource(t *testing.T) source {
	t.Helper()
	src := source{values: make(map[string]ast.Expr)}
	files, _ := filepath.Glob("*.go")
	more, _ := filepath.Glob("protocol/*.go")
	keys, _ := filepath.Glob("internal/apikey/*.go")
	for _, file := range slices.Concat(files, more, keys) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR && gen.Tok != token.CONST {
				continue
			}
			for _, spec := range gen.Specs {
				value := spec.(*ast.ValueSpec)
				for i := range value.Values {
					name := value.Names[i].Name
					src.names = append(src.names, name)
					src.values[name] = value.Values[i]
				}
			}
		}
	}
	return src
}

// strings returns the strings in the declaration of name in lower case, with those
// of the lists that it is made from.
func (src source) strings(t *testing.T, name string) []string {
	t.Helper()
	expr, ok := src.values[name]
	if !ok {
		t.Fatalf("%s is not declared: what is it called now?", name)
	}
	return src.literals(expr)
}

func (src source) literals(expr ast.Expr) []string {
	var list []string
	ast.Inspect(expr, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			if n.Kind == token.STRING {
				s, _ := strconv.Unquote(n.Value)
				list = append(list, strings.ToLower(s))
			}
		case *ast.Ident:
			if other, ok := src.values[n.Name]; ok && other != expr {
				list = append(list, src.literals(other)...)
			}
		}
		return true
	})
	return list
}

// meanings returns what each error code proves and who is to blame, as
// protocol.Meanings has it.
func (src source) meanings() map[string][2]string {
	table := src.values["Meanings"].(*ast.CompositeLit)
	all := make(map[string][2]string)
	for _, element := range table.Elts {
		pair := element.(*ast.KeyValueExpr)
		key := pair.Key
		if name, ok := key.(*ast.Ident); ok {
			key = src.values[name.Name]
		}
		code, _ := strconv.Unquote(key.(*ast.BasicLit).Value)
		meaning := pair.Value.(*ast.CompositeLit)
		all[code] = [2]string{meaning.Elts[0].(*ast.Ident).Name, meaning.Elts[1].(*ast.Ident).Name}
	}
	return all
}

// A namedError is an error and what it is called: errReset is reset.
type namedError struct {
	name string
	Error
}

// errors returns the errors that are declared.
func (src source) errors(t *testing.T) []namedError {
	t.Helper()
	var all []namedError
	for _, name := range src.names {
		if !isErrorLiteral(src.values[name]) {
			continue
		}
		e, err := evalError(src.values[name].(*ast.UnaryExpr).X.(*ast.CompositeLit))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, namedError{lowerFirst(strings.TrimPrefix(strings.TrimPrefix(name, "err"), "Err")), e})
	}
	if len(all) < 20 {
		t.Fatalf("found %d errors only", len(all))
	}
	return all
}

// isErrorLiteral reports whether expr is &Error{…}.
func isErrorLiteral(expr ast.Expr) bool {
	address, ok := expr.(*ast.UnaryExpr)
	if !ok {
		return false
	}
	literal, ok := address.X.(*ast.CompositeLit)
	if !ok {
		return false
	}
	name, ok := literal.Type.(*ast.Ident)
	return ok && name.Name == "Error"
}

// evalError returns the Error that literal stands for.
func evalError(literal *ast.CompositeLit) (Error, error) {
	var e Error
	for _, element := range literal.Elts {
		field, ok := element.(*ast.KeyValueExpr)
		if !ok {
			return e, errors.New("want named fields")
		}
		value, err := eval(field.Value)
		if err != nil {
			return e, err
		}
		dst := reflect.ValueOf(&e).Elem().FieldByName(field.Key.(*ast.Ident).Name)
		if !reflect.TypeOf(value).ConvertibleTo(dst.Type()) {
			return e, fmt.Errorf("%v is no %s", value, dst.Type())
		}
		dst.Set(reflect.ValueOf(value).Convert(dst.Type()))
	}
	return e, nil
}

// eval returns the value of a constant expression as the errors have them.
func eval(expr ast.Expr) (any, error) {
	switch expr := expr.(type) {
	case *ast.BasicLit:
		if expr.Kind == token.STRING {
			return strconv.Unquote(expr.Value)
		}
		n, err := strconv.ParseInt(expr.Value, 0, 64)
		return n, err
	case *ast.Ident:
		return expr.Name == "true", nil
	case *ast.SelectorExpr:
		if value, ok := named[expr.Sel.Name]; ok {
			return value, nil
		}
		return nil, fmt.Errorf("%s is not known here", expr.Sel.Name)
	case *ast.BinaryExpr:
		x, err := eval(expr.X)
		if err != nil {
			return nil, err
		}
		y, err := eval(expr.Y)
		if err != nil {
			return nil, err
		}
		if s, ok := x.(string); ok && expr.Op == token.ADD {
			return s + y.(string), nil
		}
		if expr.Op == token.MUL {
			return x.(int64) * y.(int64), nil
		}
	}
	return nil, fmt.Errorf("%T is more than this test reads", expr)
}

// named are the constants of other packages by their names: http's statuses and
// time's units.
var named = func() map[string]int64 {
	m := map[string]int64{"Millisecond": int64(time.Millisecond), "Second": int64(time.Second),
		"Minute": int64(time.Minute)}
	for status := 100; status < 600; status++ {
		text := strings.NewReplacer(" ", "", "-", "").Replace(http.StatusText(status))
		m["Status"+text] = int64(status)
	}
	return m
}()

func lowerFirst(s string) string {
	if strings.ToUpper(s) == s {
		return strings.ToLower(s)
	}
	upper := 0 // of URITooLong all but the T
	for upper < len(s) && 'A' <= s[upper] && s[upper] <= 'Z' {
		upper++
	}
	return strings.ToLower(s[:max(1, upper-1)]) + s[max(1, upper-1):]
}

// js returns v as a literal of JavaScript.
func js(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // strings and lists of them
	return strings.TrimSpace(b.String())
}

func jsInline(names []string) string { return strings.ReplaceAll(js(names), ",", ", ") }

// jsList returns names as an array, in lines of a readable length.
func jsList(names []string) string {
	var b strings.Builder
	b.WriteString("[")
	const lineWidth = 118
	width := lineWidth
	for _, name := range names {
		literal := js(name) + ","
		if width+1+len(literal) > lineWidth {
			b.WriteString("\n ")
			width = 1
		}
		b.WriteString(" " + literal)
		width += 1 + len(literal)
	}
	return b.String() + "\n]"
}
