package gcf

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/relay/internal/build"
	"example.com/relay/internal/contract"
)

const frameworkModule = "github.com/GoogleCloudPlatform/functions-framework-go"

// run runs a command in dir and returns its output without surrounding space.
func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir, cmd.Stderr = dir, new(bytes.Buffer)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, cmd.Stderr)
	}
	return strings.TrimSpace(string(out))
}

// buildZip writes gcf.zip as make dist does, into a temporary folder, and returns
// its path.
func buildZip(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gcf.zip")
	files, err := build.Source(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := build.WriteZip(file, files); err != nil {
		t.Fatal(err)
	}
	return file
}

// unpack unpacks an archive into a new folder, which it returns.
func unpack(t *testing.T, file string) string {
	t.Helper()
	r, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	dir := t.TempDir()
	if err := os.CopyFS(dir, r); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestZipHoldsTheFunctionOnly(t *testing.T) {
	t.Parallel()
	r, err := zip.OpenReader(buildZip(t))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	wanted := map[string]bool{
		"go.mod": true, "go.sum": true, "function.go": true, "bridge.go": true, "core/relay.go": true,
		"core/page/document.html": true,
	}
	for _, f := range r.File {
		delete(wanted, f.Name)
		dir, name := filepath.Split(f.Name)
		isSource := strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go")
		ok := f.Name == "go.mod" || f.Name == "go.sum" || isSource && (dir == "" || strings.HasPrefix(dir, "core/")) ||
			f.Name == "core/page/document.html"
		if !ok {
			t.Errorf("the archive holds %s, which the function does not need", f.Name)
		}
	}
	if len(wanted) > 0 {
		t.Errorf("the archive has no %v", wanted)
	}
}

func TestZipIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	first, err := os.ReadFile(buildZip(t))
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(buildZip(t))
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("two archives differ, %v", err)
	}
}

// The archive is built as Google's Go buildpack does (its
// cmd/go/functions_framework/lib/lib.go): inspect the root, generate a main
// package, tidy, build.
func TestZipIsAnAdapter(t *testing.T) {
	t.Parallel()
	dir := unpack(t, buildZip(t))
	checkRoot(t, dir)
	module := run(t, dir, "go", "list", "-m")
	if first, _, _ := strings.Cut(module, "/"); !strings.Contains(first, ".") {
		t.Fatalf("module %s: the buildpack requires a dot in the first path element", module)
	}
	writeProgram(t, dir, module)
	tidy(t, dir)
	program := filepath.Join(t.TempDir(), "program")
	run(t, dir, "go", "build", "-buildvcs=false", "-o", program, "./functions.local/app")
	contract.TestAdapter(t, func(t *testing.T, environ []string) string {
		return start(t, program, append(environ, "FUNCTION_TARGET=Relay")...).base
	})
}

// checkRoot checks that the Go files at the root are one package, tests
// included, and register the function by themselves.
func checkRoot(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	packages, imports := map[string]bool{}, map[string]bool{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		packages[f.Name.Name] = true
		for _, spec := range f.Imports {
			imports[spec.Path.Value] = true
		}
	}
	if len(packages) != 1 || packages["main"] {
		t.Fatalf("packages at the root: %v, want one that is not main", packages)
	}
	if !imports[`"`+frameworkModule+`/functions"`] {
		t.Fatal("no file at the root imports the framework's package functions")
	}
}

// writeProgram writes a main package for the function at the root of module.
func writeProgram(t *testing.T, dir, module string) {
	t.Helper()
	const program = `package main

import (
	"log"
	"os"

	"%s/funcframework"

	_ %q
)

func main() {
	log.Fatal(funcframework.StartHostPort("127.0.0.1", os.Getenv("PORT")))
}
`
	app := filepath.Join(dir, "functions.local", "app")
	if err := os.MkdirAll(app, 0o755); err != nil {
		t.Fatal(err)
	}
	source := fmt.Appendf(nil, program, frameworkModule, module)
	if err := os.WriteFile(filepath.Join(app, "main.go"), source, 0o644); err != nil {
		t.Fatal(err)
	}
}

// tidy runs go mod tidy in dir. It skips the test if that fails and the module
// proxy cannot be reached.
func tidy(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "tidy")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod")
	out, err := cmd.CombinedOutput()
	if err == nil {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	// go list -versions never uses the module cache.
	probe := exec.CommandContext(ctx, "go", "list", "-m", "-versions", frameworkModule)
	probe.Dir = dir
	if probe.Run() != nil {
		// Google's build has a network. Without one the build proves nothing.
		t.Skip("the module proxy cannot be reached, and the module cache lacks something")
	}
	t.Fatalf("go mod tidy: %v\n%s", err, out)
}
