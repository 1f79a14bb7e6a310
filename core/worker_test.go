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
)

var update = flag.Bool("update", false, "write what ../cloudflare has from this package, rather than compare it")

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
	if !*update {
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
	fmt.Fprintf(&b, "const VERSION = %q;\n", Version)

	names := make([]string, len(settings))
	for i, s := range settings {
		names[i] = s.Name
	}
	fmt.Fprintf(&b, "\n/** The names of all settings. Those without a parser below cannot be kept here. */\nconst SETTINGS = new Set(%s);\n", jsList(names))

	b.WriteString("\n/** What the relay answers when it cannot forward; see core/errors.go. */\nconst ERRORS = {\n")
	for _, e := range slices.Concat(parseErrors(t), pendingErrors(t)) {
		if e.Code == errWebSocket.Code {
			e.Status = http.StatusUpgradeRequired // pending
		}
		fmt.Fprintf(&b, "  %s: { status: %d, code: %s, retryAfterMs: %d, retry: %t,\n    message: %s },\n",
			e.name, e.Status, js(e.Code), e.RetryAfter.Milliseconds(), !e.NoRetry, js(e.Msg))
	}
	b.WriteString("};\n")

	for _, table := range []struct {
		name, about string
		names       []string
	}{
		{"DROPPED_UP", "Request headers that never reach an upstream.", lowerKeys(droppedUp)},
		{"DROPPED_DOWN", "Response headers that never reach a client.", slices.Concat(lowerKeys(droppedDown), pendingDroppedDown())},
		{"UNDROPPABLE", "Request headers that Connection may not nominate away.", lowerKeys(undroppable)},
		{"SAFELISTED", "Response headers that every page may read.", lowerKeys(safelisted)},
		{"FAMILIES", "The parts of the API by which the log classes requests.", lowerKeys(families)},
	} {
		slices.Sort(table.names)
		fmt.Fprintf(&b, "\n/** %s */\nconst %s = new Set(%s);\n", table.about, table.name, jsList(slices.Compact(table.names)))
	}
	fmt.Fprintf(&b, "\n/** The beginnings of more names in DROPPED_UP. */\nconst DROPPED_UP_PREFIXES = %s;\n", jsList(lower(droppedUpPrefixes)))
	fmt.Fprintf(&b, "\n/** Where clients put API keys besides Authorization. */\nconst KEY_HEADERS = %s;\n", jsList(slices.Concat(lower(keyHeaders), pendingKeyHeaders())))

	b.WriteString("\nconst DEFAULTS = {\n")
	cfg := Config{Platform: Platform{Serverless: true}}.withDefaults()
	fmt.Fprintf(&b, "  upstream: %s, paths: %s, name: %s,\n  maxBodyBytes: %d, maxURIBytes: %d, maxHeaderBytes: %d, maxHops: %d,\n  maxPreflightNames: %d, maxPreflightBytes: %d,\n};\n",
		js(defaultUpstream), jsInline(cfg.Paths), js(cfg.Name), cfg.MaxBodyBytes, maxURIBytes, maxHeaderBytes, maxHops, maxPreflightNames, maxPreflightBytes)
	return b.String()
}

// What the contract says and this package does not yet: each of these returns
// nothing once it does.

// pendingErrors are errors that the worker has ahead of this package.
func pendingErrors(t *testing.T) []namedError {
	pending := []namedError{
		{"origin", Error{Status: http.StatusForbidden, Code: "origin_not_allowed", NoRetry: true,
			Msg: "This relay may not be called from this web origin. Its operator can add the origin to RELAY_ALLOWED_ORIGINS."}},
		{"destination", Error{Status: http.StatusForbidden, Code: "destination_not_allowed", NoRetry: true,
			Msg: "This relay answers API requests of programs and of fetch, not the loading of documents, frames, scripts or workers."}},
		{"tokenLeft", Error{Status: http.StatusBadRequest, Code: "duplicate_access_token", NoRetry: true,
			Msg: "The request holds the access token in a second place, from which it would reach the API, so nothing was sent. Send it once: in X-Relay-Token, or in front of your API key."}},
	}
	have := parseErrors(t)
	return slices.DeleteFunc(pending, func(p namedError) bool {
		return slices.ContainsFunc(have, func(e namedError) bool { return e.name == p.name || e.Code == p.Code })
	})
}

// pendingDroppedDown are response headers that let an upstream act in the name
// of the relay's origin.
func pendingDroppedDown() []string {
	return []string{
		"accept-ch", "clear-site-data", "content-security-policy-report-only", "critical-ch", "link", "origin-trial", "refresh",
		"service-worker-allowed", "set-login", "sourcemap", "x-sourcemap",
	}
}

// pendingKeyHeaders are more headers in which clients send API keys.
func pendingKeyHeaders() []string {
	if slices.Contains(keyHeaders, "X-Goog-Api-Key") {
		return nil
	}
	return []string{"x-goog-api-key"}
}

// A namedError is an error and what it is called: errReset is reset.
type namedError struct {
	name string
	Error
}

// parseErrors returns the errors that this package declares, in the order of
// the source: a variable cannot be asked for its name.
func parseErrors(t *testing.T) []namedError {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var all []namedError
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				value := spec.(*ast.ValueSpec)
				if len(value.Values) != 1 || !isErrorLiteral(value.Values[0]) {
					continue
				}
				name := strings.TrimPrefix(strings.TrimPrefix(value.Names[0].Name, "err"), "Err")
				e, err := evalError(value.Values[0].(*ast.UnaryExpr).X.(*ast.CompositeLit))
				if err != nil {
					t.Fatalf("%s, %s: %v", file, value.Names[0].Name, err)
				}
				all = append(all, namedError{lowerFirst(name), e})
			}
		}
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
	m := map[string]int64{"Millisecond": int64(time.Millisecond), "Second": int64(time.Second), "Minute": int64(time.Minute)}
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

func lower(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = strings.ToLower(name)
	}
	return out
}

func lowerKeys(set map[string]bool) []string { return lower(slices.Sorted(maps.Keys(set))) }

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
